"""A bucket on a real S3 server on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from s3_server import s3_server


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    """Start a server with the bucket "gallery", and return a client of it."""
    with s3_server("gallery") as client:
        yield client
