"""Forgetting in an object store, which has no lock: beside a run that ingests the same image."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lakes import Shot, drawn, lake_of
from s3_server import s3_server

from assay.data.sources.find import SourceOptions, find_items
from assay.data.store.lake import Lake
from assay.tasks import sightings
from assay.tasks.ingest import ingest_chunk
from assay.tasks.lake.check import check
from assay.tasks.lake.forget import forget

SHOTS = [Shot(name=f"p{i}", seed=i) for i in range(2)]


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with s3_server("forgetting") as client:
        yield client


def objects_with(client: Any, prefix: str, raw: bytes) -> list[str]:
    """Return the keys below a prefix whose objects contain some bytes."""
    listed = client.list_objects_v2(Bucket="forgetting", Prefix=prefix).get("Contents", [])
    keys = [one["Key"] for one in listed]
    return [
        key for key in keys if raw in client.get_object(Bucket="forgetting", Key=key)["Body"].read()
    ]


def test_no_object_has_the_bytes_afterwards(client: Any) -> None:
    """The other image is readable, and the check finds no damage."""
    made = lake_of("s3://forgetting/a", SHOTS)  # type: ignore[arg-type]
    raw = made.lake.image(made.ids["p1"])
    assert objects_with(client, "a/", raw)
    done = forget(made.lake, [made.ids["p1"]], by="ann")
    assert done.erased.rows == {"images": 1, "scores": 1}
    assert objects_with(client, "a/", raw) == []
    fresh = Lake(made.lake.uri)
    assert fresh.image(made.ids["p0"]) == drawn(SHOTS[0])
    assert check(fresh, deep=True).damage == []


def test_a_run_that_stores_the_image_at_the_same_moment_leaves_nothing(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It wrote the shard before the tombstone, cannot commit it, and stores the other image."""
    uri = "s3://forgetting/b"
    made = lake_of(uri, [Shot(name="p0", seed=0)])  # type: ignore[arg-type]
    for shot in SHOTS:
        (tmp_path / f"{shot.name}.jpg").write_bytes(drawn(shot))
    real, calls = sightings.Lake.write_shard, []

    def forgotten_after(lake: Lake, parts: Any, ahead: Any) -> Any:
        places = real(lake, parts, ahead)
        if not calls:
            calls.append(1)
            forget(Lake(uri), [made.ids["p0"]], by="ann")
        return places

    monkeypatch.setattr(sightings.Lake, "write_shard", forgotten_after)
    # As if it had looked before the image was stored.
    monkeypatch.setattr(sightings.Lake, "has_rows_of", lambda *_args: set())
    counts = ingest_chunk(
        Lake(uri),
        list(find_items([str(tmp_path)], SourceOptions())),
        batch_id="b-1",
        run_id="r1",
        chunk_index=0,
        options=SourceOptions(),
        n_workers=1,
    )
    assert (counts.stored, counts.rejected_by_reason) == (1, {"forgotten": 1})
    raw = drawn(SHOTS[0])
    assert objects_with(client, "b/", raw) == []
    assert Lake(uri).scan("images").collect().height == 1
