"""Lists of PDQ hashes as CSV: every row is checked before any is used."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import polars as pl

from ...data.errors import InputError
from ...data.text.wording import counted, shown

_NAMED: Final = 10
_HASH: Final = "^[0-9a-f]{64}$"


def read_hashes(file: Path) -> pl.DataFrame:
    """Return the hashes of a CSV file with the columns hash and, optionally, note.

    Args:
        file: CSV file with a header. Other columns are not read.

    Returns:
        Columns hash (64 hex digits, lower case) and note, in the order of the file.

    Raises:
        InputError: The file cannot be read, has no column `hash`, or has rows that are no hash;
            the message names the first of them by their lines.
    """
    try:
        # Given a path, polars would read all files of a folder or a pattern, and addresses.
        content = file.read_bytes()
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error.strerror}); give a CSV file") from error
    try:
        rows = pl.read_csv(content, infer_schema=False, truncate_ragged_lines=False)
    except pl.exceptions.PolarsError as error:
        raise InputError(
            f"{file} cannot be read as CSV: {str(error).splitlines()[0]}; its first line must name"
            " the columns, one of them `hash`"
        ) from error
    if "hash" not in rows.columns:
        raise InputError(
            f"{file} has the columns {', '.join(map(shown, rows.columns))}; one must be `hash`,"
            " with the 64 hexadecimal digits of a PDQ hash"
        )
    note = pl.col("note") if "note" in rows.columns else pl.lit(None, dtype=pl.String)
    hashes = rows.select(
        hash=pl.col("hash").str.strip_chars().str.to_lowercase(), note=note, given="hash"
    ).with_row_index("line", offset=2)
    bad = hashes.filter(~pl.col("hash").str.contains(_HASH).fill_null(value=False))
    if bad.height:
        named = ", ".join(
            f"line {line}: {shown(given or '')}"
            for line, given in bad.select("line", "given").head(_NAMED).iter_rows()
        )
        more = f" and {bad.height - _NAMED:,} more" if bad.height > _NAMED else ""
        raise InputError(
            f"{file}: {counted(bad.height, 'row is', 'rows are')} no PDQ hash of 64"
            f" hexadecimal digits: {named}{more};"
            " nothing was imported"
        )
    return hashes.select("hash", "note")
