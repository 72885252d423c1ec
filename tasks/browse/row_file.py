"""Files of rows for users: CSV, Parquet and JSON lines, written atomically, one part at a time."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, Literal

import polars as pl
import pyarrow.parquet as pq

from ...data.errors import ConfigError, InputError
from ...data.store.local_files import LocalStore
from ...data.text.redaction import redact_text
from ...data.text.wording import did_you_mean
from ...data.user_paths import require_output

Format = Literal["csv", "parquet", "jsonl"]

SUFFIXES: Final[dict[str, Format]] = {
    ".csv": "csv",
    ".parquet": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}
LIST_SEPARATOR: Final = ";"
_TIME: Final = "%Y-%m-%dT%H:%M:%S%.6f"
# First characters of what spreadsheets run as a formula: https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA: Final = "^[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]"
# Rows of earlier versions may hold secrets in URLs.
_URL_WITH_MORE: Final = r"(?i)(https?|s3|gs|az)://[^\s]*[?@#]"

Write = Callable[[pl.DataFrame], None]


def format_of(file: Path) -> Format:
    """Return the format that the suffix of a file names.

    Raises:
        ConfigError: The suffix is unknown.
    """
    found = SUFFIXES.get(file.suffix.lower())
    if found is None:
        raise ConfigError(
            f"{file} ends in {file.suffix or 'nothing'}{did_you_mean(file.suffix, SUFFIXES)};"
            f" allowed: {', '.join(SUFFIXES)}"
        )
    return found


def require_row_file(file: Path, *, overwrite: bool) -> None:
    """Check before any work that rows may be written to a file.

    Raises:
        ConfigError: The file exists and `overwrite` is False, or it is no place for a file.
    """
    require_output(file)
    if file.exists() and not overwrite:
        raise ConfigError(f"{file} is there already; name another file, or add --overwrite")


def write_rows(
    file: Path, frames: Iterable[pl.DataFrame], schema: pl.Schema, *, kind: Format
) -> int:
    """Write rows to a file, one frame in memory at a time; the file appears when it is complete.

    Secrets of URLs are removed. In CSV, a text that a spreadsheet would run as a formula gets a
    leading apostrophe, lists are joined by semicolons, and structs are JSON.

    Args:
        file: File to write; an existing file is replaced.
        frames: Rows, all of one schema.
        schema: Schema of the rows.
        kind: Format of the file.

    Returns:
        Number of rows.

    Raises:
        InputError: The file cannot be written.
    """
    file = file.absolute()
    n_rows = 0
    try:
        with (
            LocalStore(file.parent).creating(file.name) as out,
            writing(out, schema, kind) as add,
        ):
            for frame in frames:
                add(frame)
                n_rows += frame.height
    except OSError as error:
        raise InputError(f"cannot write {file}: {error.strerror or error}") from error
    return n_rows


@contextmanager
def writing(out: IO[bytes], schema: pl.Schema, kind: Format) -> Iterator[Write]:
    """Yield a function that writes a frame of rows to an open file; see `write_rows`."""
    if kind == "parquet":
        arrow = pl.DataFrame(schema=schema).to_arrow().schema
        with pq.ParquetWriter(out, arrow, compression="zstd") as writer:
            yield lambda frame: writer.write_table(without_secrets(frame).to_arrow().cast(arrow))
        return
    if kind == "jsonl":
        yield lambda frame: without_secrets(frame).write_ndjson(out)
        return
    # Redaction on stdout ends a URL at a quote; without quotes it would go on into the next cells.
    defused_csv(pl.DataFrame(schema=schema)).write_csv(out, quote_style="non_numeric")
    yield lambda frame: defused_csv(without_secrets(frame)).write_csv(
        out, include_header=False, quote_style="non_numeric"
    )


def defused_csv(frame: pl.DataFrame) -> pl.DataFrame:
    """Return rows with flat columns in which no text and no heading is a formula."""
    headings = {name: _defused_text(name) for name in frame.columns}
    return frame.select(
        _flat(name, kind).alias(headings[name]) for name, kind in frame.schema.items()
    )


def without_secrets(frame: pl.DataFrame) -> pl.DataFrame:
    """Return rows with the secrets of URLs in texts removed."""
    changed = []
    for column in frame.iter_columns():
        if column.dtype == pl.String and (has := column.str.contains(_URL_WITH_MORE)).any():
            texts = [
                redact_text(text) if may_hold else text
                for text, may_hold in zip(column, has, strict=True)
            ]
            changed.append(pl.Series(column.name, texts, dtype=pl.String))
    return frame.with_columns(changed)


def is_formula(text: str) -> bool:
    """Return whether a spreadsheet may run a text as a formula."""
    return re.match(_FORMULA, text) is not None


def _flat(name: str, kind: pl.DataType) -> pl.Expr:
    column = pl.col(name)
    if isinstance(kind, pl.List | pl.Array):
        if kind.inner.is_nested():
            return _defused(pl.struct(column).struct.json_encode())
        parts = column.arr.to_list() if isinstance(kind, pl.Array) else column
        return _defused(parts.cast(pl.List(pl.String)).list.join(LIST_SEPARATOR))
    if isinstance(kind, pl.Struct):
        return _defused(column.struct.json_encode())
    if isinstance(kind, pl.Datetime):
        utc = column if kind.time_zone is None else column.dt.convert_time_zone("UTC")
        return utc.dt.strftime(_TIME + ("" if kind.time_zone is None else "Z"))
    if kind == pl.Binary:
        return column.bin.encode("hex")
    return _defused(column.cast(pl.String)) if kind in {pl.String, pl.Categorical} else column


def _defused(text: pl.Expr) -> pl.Expr:
    return pl.when(text.str.contains(_FORMULA)).then(pl.lit("'") + text).otherwise(text)


def _defused_text(text: str) -> str:
    return str(pl.select(_defused(pl.lit(text))).item())
