"""Archives for tests, made with the standard library and listed as items."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from pathlib import Path

import factories
import pyarrow as pa
import pytest

from assay.data.errors import UnreadableImage
from assay.data.sources.find import Item, SourceOptions, find_items, read_item
from assay.data.vocabulary import Reason

COMPRESSIONS = ["", "gz", "bz2", "xz"]


def listed(*sources: Path | str, **options) -> list[Item]:
    return list(find_items([str(source) for source in sources], SourceOptions(**options)))


def inner(items: list[Item]) -> list[str]:
    return [item.source_uri.partition("!")[2] for item in items]


def problems(items: list[Item]) -> dict[str, Reason]:
    return {item.source_uri.partition("!")[2]: item.problem[0] for item in items if item.problem}


def refusal(item: Item, **options) -> UnreadableImage:
    with pytest.raises(UnreadableImage) as caught:
        read_item(item, SourceOptions(**options))
    return caught.value


def packed_zip(path: Path, members: dict[str, bytes], **options) -> Path:
    with zipfile.ZipFile(path, "w", **options) as out:
        for name, body in members.items():
            out.writestr(name, body)
    return path


def packed_tar(path: Path, members: list[tuple[str, bytes]], compression: str = "") -> Path:
    with tarfile.open(path, f"w:{compression}") as out:
        for name, body in members:
            info = tarfile.TarInfo(name)
            info.size = len(body)
            out.addfile(info, io.BytesIO(body))
    return path


PICTURES = {f"{n % 3}/{n:02d}.jpg": factories.jpeg(seed=n, size=(16, 16)) for n in range(12)}


def packed_as(compression: str, raw: bytes) -> bytes:
    """Return bytes compressed by the libraries' own functions."""
    if compression == "zst":
        packed: bytes = pa.compress(raw, codec="zstd", asbytes=True)
        return packed
    pack = {"": bytes, "gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}
    return pack[compression](raw)


def tar_bytes(members: list[tuple[str, bytes]], **options) -> bytes:
    """Return a plain TAR archive."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", **options) as archive:
        for name, body in members:
            info = tarfile.TarInfo(name)
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))
    return out.getvalue()


ALL_COMPRESSIONS = [*COMPRESSIONS, "zst"]
