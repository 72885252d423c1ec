"""Files of answers: columns, the writer, and the reader of what the writer or a person wrote."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import polars as pl

from ...data.errors import InputError
from ...data.text.wording import did_you_mean, shown
from ..browse.row_file import Format, is_formula, write_rows
from .given import Given, Reading, label_of, text_of, time_of
from .table_file import read_columns, read_rows

COLUMNS: Final = ("image_id", "label", "reviewer", "reason", "note", "reviewed_at", "answer_id")
IMAGE_COLUMNS: Final = ("image_id", "sha256", "source_uri")
ALLOWED: Final = (*COLUMNS, "sha256", "source_uri")
NO_LABEL: Final = "without a label"
_HEX: Final = frozenset("0123456789abcdef")


def write_answers(answers: pl.DataFrame, file: Path, *, kind: Format) -> int:
    """Write answers with the columns `COLUMNS`, ordered by image and reviewer; return their number.

    Args:
        answers: Answers with the columns of the table `reviews`.
        file: File to write; an existing file is replaced when the new one is complete.
        kind: Format of the file.

    Raises:
        InputError: The file cannot be written.
    """
    rows = answers.sort("image_id", "reviewer", "reviewed_at").select(COLUMNS)
    return write_rows(file, rows.iter_slices(50_000), rows.schema, kind=kind)


def read_answer_table(file: Path, *, reviewer: str | None) -> Reading:
    """Return the answers of a delimited file with a header.

    Args:
        file: File to read.
        reviewer: Reviewer of rows that name none; None if each must.

    Raises:
        InputError: The file cannot be read, or its header is not that of answers.
    """
    require_columns(file, read_columns(file))
    reading = Reading(format="answers in a table")
    for row in read_rows(file):
        place = f"line {row.line:,}"
        if row.problem is not None:
            reading.problems.append(f"{place}: {row.problem}")
        else:
            _add(reading, place, row.cells, reviewer, is_table=True)
    return reading


def add_answer(
    reading: Reading, place: str, value: Mapping[str, Any], reviewer: str | None
) -> None:
    """Add the answer of a JSON object, or its defect, to what was read."""
    if unknown := [name for name in value if name not in ALLOWED]:
        known = did_you_mean(unknown[0], ALLOWED)
        reading.problems.append(
            f"{place}: key {shown(unknown[0])} is unknown{known}; allowed: {', '.join(ALLOWED)}"
        )
        return
    _add(reading, place, value, reviewer, is_table=False)


def require_columns(file: Path, names: list[str]) -> None:
    """Refuse a header that is not one of answers.

    Raises:
        InputError: A column is unknown, missing or there twice.
    """
    unknown = [name for name in names if name not in ALLOWED]
    allowed = f"allowed: {', '.join(ALLOWED)}"
    if unknown:
        listed = ", ".join(shown(name) for name in unknown[:10])
        more = f" and {len(unknown) - 10} more" if len(unknown) > 10 else ""
        raise InputError(
            f"{file} has unknown columns {listed}{more}{did_you_mean(unknown[0], ALLOWED)};"
            f" {allowed}; nothing was recorded"
        )
    if twice := [name for name in ALLOWED if names.count(name) > 1]:
        raise InputError(f"{file} has the column {twice[0]} twice; keep one; nothing was recorded")
    if "label" not in names or not set(IMAGE_COLUMNS) & set(names):
        raise InputError(
            f"{file} needs the column label and one of {', '.join(IMAGE_COLUMNS)}; it has"
            f" {', '.join(names) or 'none'}; nothing was recorded"
        )


def image_of(value: object) -> str:
    """Return the id of a cell in lower case.

    Raises:
        InputError: The value is no SHA-256 in hex.
    """
    text = str(value).strip().lower()
    if len(text) != 64 or set(text) - _HEX:
        raise InputError(f"image id {shown(value)} is not an id of 64 hex digits")
    return text


def _add(
    reading: Reading, place: str, cells: Mapping[str, Any], reviewer: str | None, *, is_table: bool
) -> None:
    if text_of(cells.get("label")) is None:
        reading.left_out[NO_LABEL] += 1
        return
    try:
        reading.answers.append(_given(place, cells, reviewer, is_table=is_table))
    except InputError as error:
        reading.problems.append(f"{place}: {error}")


def _given(place: str, cells: Mapping[str, Any], reviewer: str | None, *, is_table: bool) -> Given:
    def cell(name: str) -> str | None:
        text = text_of(cells.get(name))
        return without_apostrophe(text) if is_table else text

    image_id = cell("image_id") or cell("sha256")
    source_uri = cell("source_uri")
    if image_id is None and source_uri is None:
        raise InputError(f"no image is named; fill one of {', '.join(IMAGE_COLUMNS)}")
    who = cell("reviewer") or reviewer
    if who is None:
        raise InputError("no reviewer is named; fill the column reviewer, or pass --reviewer NAME")
    return Given(
        place=place,
        image_id=None if image_id is None else image_of(image_id),
        source_uri=source_uri if image_id is None else None,
        label=label_of(cells.get("label")),
        reviewer=who,
        reason=cell("reason"),
        note=cell("note"),
        note_as_written=text_of(cells.get("note")),
        reviewed_at=time_of(cell("reviewed_at")),
        answer_id=cell("answer_id"),
    )


def without_apostrophe(text: str | None) -> str | None:
    """Return a text without the apostrophe that keeps spreadsheets from running it."""
    if text is not None and text.startswith("'") and is_formula(text[1:]):
        return text[1:]
    return text
