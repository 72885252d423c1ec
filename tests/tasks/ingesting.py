"""Fixtures of the tests of ingest: images, items, one complete ingest and its results."""

from __future__ import annotations

import hashlib
import io
import random
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from assay.data.sources.find import Item, SourceOptions, find_items
from assay.data.store.lake import Lake
from assay.tasks.batches import chunks
from assay.tasks.ingest import ingest_chunk
from assay.tasks.ingest_counts import IngestCounts


def picture(seed: int, size: tuple[int, int] = (24, 16), image_format: str = "PNG") -> bytes:
    noise = random.Random(seed).randbytes(size[0] * size[1] * 3)
    file = io.BytesIO()
    Image.frombytes("RGB", size, noise).save(file, image_format)
    return file.getvalue()


def sha256(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def put(folder: Path, files: dict[str, bytes]) -> Path:
    for name, raw in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(raw)
    return folder


def ingest(
    lake: Lake,
    source: Path,
    *,
    batch_id: str = "b-1",
    run_id: str = "run-1",
    n_workers: int = 2,
    max_items: int = 1000,
    options: SourceOptions | None = None,
) -> IngestCounts:
    options = options or SourceOptions()
    total = IngestCounts()
    for index, chunk in enumerate(chunks(find_items([str(source)], options), max_items=max_items)):
        total += ingest_chunk(
            lake,
            chunk,
            batch_id=batch_id,
            run_id=run_id,
            chunk_index=index,
            options=options,
            n_workers=n_workers,
        )
    return total


def ingest_items(
    lake: Lake, items: Sequence[Item], *, run_id: str = "run-1", n_workers: int = 4, **more: Any
) -> IngestCounts:
    return ingest_chunk(
        lake,
        items,
        batch_id="b-1",
        run_id=run_id,
        chunk_index=0,
        options=SourceOptions(),
        n_workers=n_workers,
        **more,
    )


def item_at(address: Any, name: str, *, fingerprint: str = "f", label: str | None = None) -> Item:
    return Item(
        source_uri=f"file:///{name}",
        fingerprint=fingerprint,
        label=label,
        domain=None,
        address=address,
    )


class NeverRead:
    """An address that must not be used."""

    def read(self, options: SourceOptions) -> bytes:
        """Fail on every call."""
        raise AssertionError(options)


class Broken:
    """An address whose reader has a bug."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def read(self, options: SourceOptions) -> bytes:
        """Raise the given error."""
        raise self.error


class Given:
    """An address that holds its bytes, and may wait before it gives them."""

    def __init__(self, raw: bytes, after: threading.Event | None = None) -> None:
        self.raw = raw
        self.after = after

    def read(self, options: SourceOptions) -> bytes:
        """Return the bytes, once they are released."""
        assert self.after is None or self.after.wait(30)
        return self.raw


def counting(lake: Lake, batch_id: str = "b-1") -> dict[str, dict[str, Any]]:
    """Return the current sightings by file name."""
    rows = (
        lake.scan("sightings")
        .filter(batch_id=batch_id)
        .sort("seen_at")
        .unique("source_uri", keep="last")
        .collect()
    )
    return {row["source_uri"].rpartition("/")[2]: row for row in rows.iter_rows(named=True)}


def states(lake: Lake, batch_id: str = "b-1") -> dict[str, tuple[str, str | None]]:
    return {n: (r["status"], r["reason"]) for n, r in counting(lake, batch_id).items()}


def versions(lake: Lake) -> tuple[int | None, int | None]:
    return lake.version("images"), lake.version("sightings")
