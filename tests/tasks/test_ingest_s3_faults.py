"""An ingest from S3 into a lake on S3, with a server that refuses, is slow, cut off or down."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from faulty_proxy import FaultyProxy, faulty_proxy, replay
from ingesting import picture
from processes import PROCESSES
from s3_server import s3_server

from assay.data.errors import InputError, StoreError
from assay.data.sources.find import SourceOptions, find_items
from assay.data.store.lake import Lake
from assay.data.vocabulary import Reason
from assay.tasks.batches import chunks
from assay.tasks.ingest import ingest_chunk
from assay.tasks.ingest_counts import IngestCounts

OPTIONS = SourceOptions()
N = 12


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    with s3_server("faulty") as client:
        for n in range(N):
            client.put_object(Bucket="faulty", Key=f"in/{n:02}.png", Body=picture(n))
        yield client


@pytest.fixture
def proxy(s3: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    """Run a proxy without faults, which all clients of the test use."""
    parts = urlsplit(os.environ["AWS_ENDPOINT_URL"])
    assert parts.hostname is not None
    assert parts.port is not None
    with faulty_proxy(parts.hostname, parts.port, share=0.0) as (made, address):
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        yield made


def ingested(source: str, lake_uri: str, batch_id: str = "b-1") -> IngestCounts:
    lake = Lake(lake_uri)
    total = IngestCounts()
    for index, chunk in enumerate(chunks(find_items([source], OPTIONS), max_items=6)):
        total += ingest_chunk(
            lake,
            chunk,
            batch_id=batch_id,
            run_id=batch_id,
            chunk_index=index,
            options=OPTIONS,
            n_workers=4,
        )
    return total


def require_whole(lake_uri: str) -> None:
    """Check that every object has one sighting and one image, whose bytes can be read."""
    lake = Lake(lake_uri, create=False)
    assert lake.n_rows("sightings") == N
    ids = lake.scan("images").collect()["image_id"].to_list()
    assert len(ids) == len(set(ids)) == N
    assert sum(1 for _ in lake.images(ids)) == N


def test_a_tenth_of_answers_busy_and_some_cut_off_cost_no_item(proxy):
    """503, slow and truncated answers to source, shards and tables at once."""
    proxy.busy, proxy.slow_s, proxy.share = 0.1, 0.01, 0.1
    counts = ingested("s3://faulty/in", "s3://faulty/lake-busy")
    assert (counts.items, counts.stored, counts.rejected) == (N, N, 0)
    assert proxy.n_busy > 5
    assert proxy.n_cut > 2
    proxy.busy = proxy.slow_s = proxy.share = 0.0
    require_whole("s3://faulty/lake-busy")


def test_a_second_run_reads_no_image(proxy):
    """Neither from a prefix, whose listing tells, nor from a list, whose objects are asked for."""
    listing = "\n".join(f"in/{n:02}.png" for n in range(N))
    client = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
    client.put_object(Bucket="faulty", Key="list.txt", Body=listing.encode())
    for source in ("s3://faulty/in", "s3://faulty/list.txt"):
        ingested(source, "s3://faulty/lake-twice")
        proxy.bodies.clear()
        counts = ingested(source, "s3://faulty/lake-twice")
        assert counts.items == N
        assert [path for path in proxy.bodies if "/in/" in path] == []
    assert Lake("s3://faulty/lake-twice", create=False).n_rows("images") == N


def test_two_writers_of_one_source_store_each_image_once(s3):
    """Two batches of the same prefix at the same time, without a lock."""
    start = threading.Barrier(2)

    def work(batch_id: str) -> IngestCounts:
        start.wait()
        return ingested("s3://faulty/in", "s3://faulty/lake-two", batch_id)

    Lake("s3://faulty/lake-two")
    with ThreadPoolExecutor(2) as pool:
        one, two = pool.map(work, ["b-1", "b-2"])
    assert (one.items, two.items, one.stored + two.stored) == (N, N, N)
    assert Lake("s3://faulty/lake-two", create=False).n_rows("images") == N


def test_what_may_not_be_read_is_a_row_and_the_run_goes_on(proxy):
    """An object that is forbidden and one that has vanished are rejected with their reasons."""
    proxy.answers["/faulty/in/03.png"] = 403
    proxy.answers["/faulty/in/04.png"] = 404
    counts = ingested("s3://faulty/in", "s3://faulty/lake-refused")
    assert (counts.items, counts.stored, counts.rejected) == (N, N - 2, 2)
    rows = Lake("s3://faulty/lake-refused", create=False).scan("sightings").collect()
    reasons = dict(zip(rows["source_uri"], rows["reason"], strict=True))
    assert reasons["s3://faulty/in/03.png"] == Reason.NOT_PERMITTED
    assert reasons["s3://faulty/in/04.png"] == Reason.NOT_FOUND


def test_a_bucket_that_forbids_is_told_before_anything_is_written(proxy):
    """A source that may not be listed, and a lake that may not be written, without the keys."""
    proxy.methods["GET"] = 403
    with pytest.raises(InputError, match="set credentials that may list and read") as told:
        find_items(["s3://faulty/in"], OPTIONS)
    assert "testing" not in str(told.value)
    del proxy.methods["GET"]
    proxy.methods["PUT"] = 403
    with pytest.raises(StoreError, match="s3://faulty/lake-forbidden") as refused:
        Lake("s3://faulty/lake-forbidden")
    assert "give these credentials permission" in str(refused.value)
    assert "testing" not in str(refused.value)


def test_a_server_that_stops_for_a_while_costs_no_item(proxy):
    """Connections are refused in the middle of a run, and taken again two seconds later."""
    state = threading.Timer(0.6, lambda: setattr(proxy, "is_down", True))
    back = threading.Timer(2.6, lambda: setattr(proxy, "is_down", False))
    proxy.slow_s = 0.03
    state.start()
    back.start()
    counts = ingested("s3://faulty/in", "s3://faulty/lake-stopped")
    back.join()
    assert (counts.items, counts.stored, counts.rejected) == (N, N, 0)
    assert proxy.n_dropped > 0
    proxy.slow_s = 0.0
    require_whole("s3://faulty/lake-stopped")


def serve_s3(port: Any) -> None:
    """Run a server in this process until it is killed, and send its port."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    port.send(server.get_host_and_port())
    threading.Event().wait()


class Server:
    """A server process. It has no disk: what takes its place is given the writes that it had."""

    def __init__(self) -> None:
        answer, port = PROCESSES.Pipe(duplex=False)
        self.process = PROCESSES.Process(target=serve_s3, args=(port,), daemon=True)
        self.process.start()
        self.address: tuple[str, int] = answer.recv()

    def kill(self) -> None:
        """End the process as a lack of memory would."""
        self.process.kill()
        self.process.join()


@pytest.mark.xdist_group("forked")
def test_a_server_killed_and_started_again_costs_no_item(
    proxy: FaultyProxy,
) -> None:
    """Killed at every sixth write, which is lost or was made without an answer, in turn."""
    servers = [Server()]
    proxy.upstream = servers[-1].address

    def before_write() -> bool:
        n = len(proxy.writes)
        if n % 6 or len(servers) > 3:
            return False
        servers[-1].kill()
        servers.append(Server())
        proxy.upstream = servers[-1].address
        is_made = len(servers) % 2 == 0
        replay(proxy, proxy.writes if is_made else proxy.writes[:-1])
        if not is_made:
            proxy.writes.pop()
        return True

    client = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
    proxy.before_write = lambda: False
    client.create_bucket(Bucket="faulty")
    for n in range(N):
        client.put_object(Bucket="faulty", Key=f"in/{n:02}.png", Body=picture(n))
    proxy.before_write = before_write
    try:
        counts = ingested("s3://faulty/in", "s3://faulty/lake-killed")
        assert (counts.items, counts.stored, counts.rejected) == (N, N, 0)
        assert len(servers) == 4
        require_whole("s3://faulty/lake-killed")
    finally:
        servers[-1].kill()
