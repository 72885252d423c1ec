"""Data files of tables: Parquet, with a hash of the content in the name.

The hash detects any changed byte, which neither Delta's log nor Parquet's structure does. Files of
other writers have no hash in their name; for them only undecodable content is detected.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from .parquet_reader import ParquetReader

_NAME: Final = re.compile(r"part-[0-9a-f]{16}-([0-9a-f]{32})\.zstd\.parquet")
_MAGIC: Final = b"PAR1"
# Bounds of perceptual hashes skip no file, and would stay in the log when an image is forgotten.
_NO_BOUNDS: Final = frozenset({"phash", "pdq"})
_REDACTED: Final = b"assay.redacted"


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFile:
    """Rows encoded as a data file.

    Attributes:
        name: Name in the table's folder.
        raw: Bytes of the file.
        stats: Delta's statistics as JSON.
    """

    name: str
    raw: bytes
    stats: str


def encode(rows: pa.Table) -> DataFile:
    """Return rows of a table as a Parquet file with a unique name."""
    return encode_groups(rows.schema, [rows])


def encode_groups(
    schema: pa.Schema, groups: Iterable[pa.Table], *, redacted: bool = False
) -> DataFile:
    """Return rows of a table as a Parquet file with a unique name, one group in memory at a time.

    Args:
        schema: Columns of the table.
        groups: Rows of one row group each.
        redacted: Whether the file is to replace one under its name, with fewer rows; it gets a
            mark, so that it is not taken for damage.
    """
    out = io.BytesIO()
    with pq.ParquetWriter(
        out,
        schema,
        compression="zstd",
        compression_level=3,
        use_dictionary=_repeating(schema),
        write_page_checksum=True,
    ) as writer:
        for rows in groups:
            writer.write_table(rows)
        if redacted:
            writer.add_key_value_metadata({_REDACTED: b"rows about forgotten images are removed"})
    raw = out.getvalue()
    # Two commits may have the same rows, and Delta identifies a file by its name.
    name = f"part-{secrets.token_hex(8)}-{_digest(raw)}.zstd.parquet"
    return DataFile(name=name, raw=raw, stats=statistics_of(pq.read_metadata(io.BytesIO(raw))))


def _repeating(schema: pa.Schema) -> list[str]:
    """Return the columns whose values may repeat, by their paths in Parquet.

    Those of embeddings do not: a dictionary would make a file of scores larger by 40 %.
    """
    paths: list[str] = []
    for field in schema:
        if pa.types.is_struct(field.type):
            paths += [
                f"{field.name}.{field.type.field(n).name}" for n in range(field.type.num_fields)
            ]
        elif not pa.types.is_list(field.type):
            paths.append(field.name)
        elif not pa.types.is_floating(field.type.value_type):
            paths.append(f"{field.name}.list.element")
    return paths


def read_rows(raw: bytes, *, verify: bool = False) -> pa.Table:
    """Return the rows of a Parquet file in memory, read by the calling thread alone.

    Args:
        raw: Bytes of the file.
        verify: Whether to compare the checksums of pages.

    Raises:
        OSError, ValueError, pa.ArrowException: The file cannot be decoded.
    """
    return ParquetReader(raw, verify=verify).rows()


def problem_of(name: str, raw: bytes) -> str | None:
    """Return the defect of a data file that was read in full; None for an intact one."""
    named = _NAME.fullmatch(name.rpartition("/")[2])
    if named is not None and _digest(raw) == named[1]:
        return None
    if named is not None and not is_redacted(raw):
        return "was changed since it was written"
    try:
        read_rows(raw, verify=True)
    except (OSError, ValueError, pa.ArrowException) as error:
        return f"cannot be decoded ({type(error).__name__})"
    return None


def is_redacted(raw: bytes) -> bool:
    """Return whether a data file was written again without the rows about forgotten images."""
    try:
        metadata = pq.read_metadata(io.BytesIO(raw)).metadata
    except (OSError, ValueError, pa.ArrowException):
        return False
    return metadata is not None and _REDACTED in metadata


def is_whole(head: bytes, tail: bytes) -> bool:
    """Return whether the first and last four bytes are those of a complete Parquet file."""
    return head == _MAGIC and tail == _MAGIC


def _digest(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()[:32]


def statistics_of(footer: pq.FileMetaData) -> str:
    """Return bounds and null counts of plain columns as JSON, for file skipping by readers.

    Times are left out: Delta stores them in milliseconds, which would truncate an upper bound.
    """
    least: dict[str, Any] = {}
    most: dict[str, Any] = {}
    nulls: dict[str, int] = {}
    for column in range(footer.num_columns):
        name = footer.schema.column(column).path
        if "." in name:  # inside a list or a struct
            continue
        parts = [
            footer.row_group(n).column(column).statistics for n in range(footer.num_row_groups)
        ]
        if any(part is None or not part.has_null_count for part in parts):
            continue
        nulls[name] = sum(part.null_count for part in parts)
        filled = [part for part in parts if part.num_values]
        bounds = [value for part in filled if part.has_min_max for value in (part.min, part.max)]
        if name in _NO_BOUNDS:
            continue
        if len(bounds) == 2 * len(filled) and all(map(_is_plain, bounds)) and bounds:
            least[name], most[name] = min(bounds), max(bounds)
    return json.dumps(
        {
            "numRecords": footer.num_rows,
            "minValues": least,
            "maxValues": most,
            "nullCount": nulls,
        }
    )


def _is_plain(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, (int, str))
