"""Choice of the data files of a table to merge, so that many small commits leave few files.

Files have levels by their number of rows, each `FAN` times that of the one below. A level with
`FAN` files is merged, with all levels below it, into one file of a higher level. So a table has
fewer than `FAN` files per level, and a row is written again at most once per level: 7 times in a
table that grows to 10 million rows, whatever the size of its commits. Files from half of
`MAX_BYTES` on are not touched again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Final

import pyarrow as pa

from ..damage import Listed

FAN: Final = 8
# Compressed size of a merged file; bounds the memory of a merge at a few times as much.
MAX_BYTES: Final = 64 * 2**20
# Small enough that a lookup of few keys decodes few other rows.
ROW_GROUP_ROWS: Final = 16_384
_ROW_GROUP_BYTES: Final = 4 * 2**20


def to_merge(files: Iterable[Listed], *, fan: int = FAN) -> list[list[Listed]]:
    """Return groups of files to merge into one file each; none if the table has few files.

    Args:
        files: Data files of a table.
        fan: Number of files of a level from which on they are merged, at least 2; with 2, only
            one file below the maximal size is left.
    """
    small = sorted(
        (file for file in files if file.n_rows is not None and file.n_bytes < MAX_BYTES // 2),
        key=lambda file: (file.n_rows or 0, file.name),
    )
    if fan <= 2:  # levels do not count: all small files become one
        return _portions(small)
    full = [
        level
        for level, of_level in groupby(small, key=lambda file: level_of(file.n_rows or 0))
        if len(list(of_level)) >= fan
    ]
    if not full:
        return []
    return _portions([file for file in small if level_of(file.n_rows or 0) <= max(full)])


def level_of(n_rows: int) -> int:
    """Return the level of a file with a number of rows."""
    return max(n_rows - 1, 0).bit_length() // (FAN.bit_length() - 1)


def row_group_rows(rows: pa.Table) -> int:
    """Return the number of rows per row group of a merged file."""
    row_bytes = max(int(rows.nbytes) // max(int(rows.num_rows), 1), 1)
    return max(min(ROW_GROUP_ROWS, _ROW_GROUP_BYTES // row_bytes), 1)


def _portions(files: Sequence[Listed]) -> list[list[Listed]]:
    """Split files into portions of at least two files and at most the maximal size."""
    portions: list[list[Listed]] = [[]]
    n_bytes = 0
    for file in files:
        if n_bytes + file.n_bytes > MAX_BYTES:
            portions.append([])
            n_bytes = 0
        portions[-1].append(file)
        n_bytes += file.n_bytes
    return [portion for portion in portions if len(portion) > 1]
