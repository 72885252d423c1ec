"""An S3 server on loopback for benchmarks: moto, in this process."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import boto3
from moto.server import DomainDispatcherApplication, ThreadedMotoServer


@contextlib.contextmanager
def s3_server(bucket: str, on_request: Callable[[dict[str, Any]], None]) -> Iterator[Any]:
    """Run a server with a bucket, set the variables that lead to it, and yield a client of boto3.

    Args:
        bucket: Name of the bucket.
        on_request: Function that is called with the WSGI environment of a request before its
            answer.
    """
    answer = DomainDispatcherApplication.__call__

    def observed(
        app: DomainDispatcherApplication, environ: dict[str, Any], start: Callable[..., Any]
    ) -> Iterable[bytes]:
        on_request(environ)
        answered: Iterable[bytes] = answer(app, environ, start)
        return answered

    DomainDispatcherApplication.__call__ = observed
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    os.environ |= {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": url,
        "AWS_ALLOW_HTTP": "true",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    client = boto3.client("s3", region_name="us-east-1", endpoint_url=url)
    client.create_bucket(Bucket=bucket)
    try:
        yield client
    finally:
        server.stop()
