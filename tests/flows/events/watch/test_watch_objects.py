"""A watch over a prefix of a real S3 server, and a run of what it announces."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ingesting import picture
from s3_server import s3_server

from assay.data.errors import InputError
from assay.data.store.lake import Lake
from assay.flows.events.event import Event
from assay.flows.events.watch.watch import Watch, watch
from assay.flows.request import Request
from assay.flows.run import run


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    with s3_server("gallery") as client:
        yield client


def put(s3: Any, key: str, raw: bytes) -> None:
    s3.put_object(Bucket="gallery", Key=key, Body=raw)


def look(tmp_path: Path, **more: Any) -> list[Event]:
    """Look once at the prefix; listings go to the bucket, where every worker finds them."""
    values = {"prefix": "s3://gallery/in/", "listings": "s3://gallery/new"} | more
    return list(watch(Watch(state=tmp_path / "state", **values), lambda _: None))


def test_new_objects_are_announced_and_run(s3: Any, tmp_path: Path) -> None:
    """Keys with marks of templates and patterns too; folders, lakes and hidden names are not."""
    odd = 'in/{{ 7 * 7 }} [1]"%20.png'
    for key in (odd, "in/sub/b.png", "in/.hidden.png", "in/sub/c.png.part", "inside"):
        put(s3, key, picture(len(key)))
    put(s3, "in/folder/", b"")
    for key in ("in/lake/assay-lake.json", "in/lake/shards/x.png"):
        put(s3, key, picture(9))
    (event,) = look(tmp_path)
    source = event.payload["source"]
    assert source.startswith("s3://gallery/new/")
    body = s3.get_object(Bucket="gallery", Key=source.removeprefix("s3://gallery/"))["Body"].read()
    assert [json.loads(line) for line in body.splitlines()] == [
        "s3://gallery/in/sub/b.png",
        f"s3://gallery/{odd}",
    ]
    assert look(tmp_path) == []
    lake = str(tmp_path / "lake")
    result = run(Request(lake=lake, sources=(source,)), flow="ingest")
    assert (result.items, result.stored) == (2, 2)
    whole = run(Request(lake=lake, sources=("s3://gallery/in/sub",)), flow="ingest")
    assert (whole.items, whole.duplicates) == (2, 1)
    assert Lake(lake, create=False).n_rows("images") == whole.stored + 2
    put(s3, "in/sub/b.png", picture(99))
    (event,) = look(tmp_path)
    assert event.payload["files"] == 1
    kept = run(
        Request(lake=lake, sources=(event.payload["source"],), roots=("s3://gallery/other",)),
        flow="ingest",
    )
    assert kept.rejected_by_reason == {"unsafe_path": 1}


def test_a_prefix_that_cannot_be_watched_is_said(s3: Any, tmp_path: Path) -> None:
    """A missing bucket, keys in the address, and listings that would be announced."""
    with pytest.raises(InputError, match="cannot be listed"):
        look(tmp_path, prefix="s3://nowhere-at-all/in")
    with pytest.raises(InputError, match="keys or a query"):
        look(tmp_path, prefix="s3://KEY:SECRET@gallery/in")
    with pytest.raises(InputError, match="below the watched folder"):
        look(tmp_path, listings="s3://gallery/in/new")
