"""The tar shards of a published dataset: an image, its row as JSON, and its embedding, per key.

The layout is that of WebDataset: files of one sample have one name up to the first dot and follow
each other.
"""

from __future__ import annotations

import io
import itertools
import json
import tarfile
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import polars as pl

from ..rows import FEATURES, with_label_text

_MODE: Final = 0o644


class TarShard:
    """A tar file of images; equal images and rows give equal bytes."""

    def __init__(self, file: Path) -> None:
        # Names are short and files below 8 GiB, so that the oldest format holds them.
        self._tar = tarfile.TarFile(file, "w", format=tarfile.USTAR_FORMAT)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None:
        self._tar.__exit__(kind, error, trace)

    def write(self, raw_by_id: dict[str, bytes], rows: pl.DataFrame) -> None:
        """Append the image, its row and its embedding, if any, in the order of the rows."""
        described = with_label_text(rows).select("split", *list(FEATURES)[1:])
        vectors: Iterable[Any] = itertools.repeat(None, rows.height)
        if "embedding" in rows.columns:
            vectors = rows["embedding"]
        for raw, path, row, vector in zip(
            raw_by_id.values(), rows["path"], described.iter_rows(named=True), vectors, strict=True
        ):
            text = json.dumps(row, ensure_ascii=False, allow_nan=False, sort_keys=True)
            self._add(f"{row['image_id']}.{path.rpartition('.')[2]}", raw)
            self._add(f"{row['image_id']}.json", text.encode())
            if vector is not None:
                array = io.BytesIO()
                np.save(array, np.asarray(vector, dtype=np.float32), allow_pickle=False)
                self._add(f"{row['image_id']}.npy", array.getvalue())

    def _add(self, name: str, raw: bytes) -> None:
        # Owner, group and time of a new TarInfo are zero.
        member = tarfile.TarInfo(name)
        member.size = len(raw)
        member.mode = _MODE
        self._tar.addfile(member, io.BytesIO(raw))


def read_shard(file: Path) -> pl.DataFrame:
    """Return the rows of a tar shard: `split` and the columns of `FEATURES` without the image.

    Args:
        file: Tar shard.

    Raises:
        OSError: The file cannot be read.
    """
    with tarfile.open(file, "r:") as tar:
        rows = [
            json.loads(stream.read())
            for member in tar
            if member.name.endswith(".json") and (stream := tar.extractfile(member))
        ]
    return pl.DataFrame(rows, schema=_SCHEMA)


_KINDS: Final[dict[str, pl.DataType]] = {
    "string": pl.String(),
    "class": pl.String(),
    "float32": pl.Float32(),
    "int32": pl.Int32(),
    "int64": pl.Int64(),
    "bool": pl.Boolean(),
    "list<string>": pl.List(pl.String()),
}
_SCHEMA: Final = pl.Schema(
    {"split": pl.String()}
    | {name: _KINDS[kind] for name, kind in FEATURES.items() if kind != "image"}
)
