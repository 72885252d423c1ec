"""Import of answers from a file: all of them are checked first, then all are recorded at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import polars as pl

from ...data.errors import InputError
from ...data.sources.uris import file_uri
from ...data.store.lake import Lake
from ...data.text.redaction import redact_url
from ...data.text.wording import counted, shown
from ...data.vocabulary import ReviewKind, ReviewOrigin
from ..review.answer import Answer
from ..review.answers import all_answers
from ..review.journal import Journal
from .answer_files import add_answer, read_answer_table
from .given import Given, Reading
from .label_studio_answers import (
    JSON,
    JSON_MIN,
    MINIFIED,
    add_minified,
    add_task,
    is_task,
    read_minified_table,
)
from .label_studio_values import Reader
from .table_file import JSON_SUFFIXES, TABLE_SUFFIXES, read_columns, read_values

_NAMED: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """Answers of a file, checked against a lake and not yet recorded.

    Attributes:
        file: File that was read.
        format: Name of its format.
        answers: Answers that the lake does not have.
        n_known: Number of answers that it has.
        unknown: Places and names of images that it does not have.
        left_out: Number of entries that are no answers, by reason.
    """

    file: Path
    format: str
    answers: list[Answer]
    n_known: int = 0
    unknown: list[str] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)

    def to_json(self) -> dict[str, Any]:
        """Return counts and unknown images as plain values."""
        return {
            "file": str(self.file),
            "format": self.format,
            "recorded": len(self.answers),
            "already_recorded": self.n_known,
            "unknown_images": self.unknown,
            "left_out": dict(self.left_out),
        }


def import_answers(
    lake: Lake,
    file: Path,
    *,
    reader: Reader,
    skip_unknown: bool = False,
    now: datetime | None = None,
) -> Import:
    """Record the answers of a file, all or none.

    A repeated import records nothing twice: an answer has the id that the file gives, or one
    computed from its content.

    Args:
        lake: Lake of the images.
        file: File of answers, see `read_file`.
        reader: Names of a project of Label Studio, and reviewer of rows without one.
        skip_unknown: Whether answers about images that the lake does not have are left out.
        now: Time of answers without one; None for the present.

    Raises:
        InputError: The file cannot be used; nothing is recorded.
        StoreError: The lake or its journal cannot be read or written.
    """
    made = check_import(lake, file, reader=reader, skip_unknown=skip_unknown, now=now)
    if made.answers:
        with Journal(lake) as journal:
            journal.record(made.answers)
    return made


def check_import(
    lake: Lake,
    file: Path,
    *,
    reader: Reader,
    skip_unknown: bool = False,
    now: datetime | None = None,
) -> Import:
    """Return the answers of a file that `import_answers` would record.

    Args:
        lake: Lake of the images.
        file: File of answers.
        reader: Names of a project of Label Studio, and reviewer of rows without one.
        skip_unknown: Whether answers about images that the lake does not have are left out.
        now: Time of answers without one; None for the present.

    Raises:
        InputError: An entry has a defect, or an image is unknown and not left out.
        StoreError: The lake or its journal cannot be read.
    """
    reading = read_file(file, reader)
    _require_sound(file, reading)
    ids = _image_ids(lake, reading.answers)
    unknown = [f"{given.place}: {_named(given)}" for given in reading.answers if given not in ids]
    if unknown and not skip_unknown:
        raise InputError(
            f"{file}: {len(unknown):,} of"
            f" {counted(len(reading.answers), 'answer is', 'answers are')} about images that"
            f" {lake.uri} does not have, and nothing was recorded: {_some(unknown)};"
            " --skip-unknown leaves them out"
        )
    known = _Known(lake, sorted(set(ids.values())))
    start, answers, problems, n_known = now or datetime.now(UTC), [], [], 0
    seen: set[str] = set()
    for number, given in enumerate(reading.answers):
        if (image_id := ids.get(given)) is None:
            continue
        try:
            # In the order of the file, since the latest answer counts.
            answer = _answer(given, image_id, start + timedelta(microseconds=number))
            is_known = answer.answer_id in seen or known.has(answer, given)
        except InputError as error:
            problems.append(f"{given.place}: {error}")
            continue
        seen.add(answer.answer_id)
        n_known += is_known
        if not is_known:
            answers.append(answer)
    reading.problems = problems
    _require_sound(file, reading)
    return Import(
        file=file.absolute(),
        format=reading.format,
        answers=answers,
        n_known=n_known,
        unknown=unknown,
        left_out=reading.left_out,
    )


def read_file(file: Path, reader: Reader) -> Reading:
    """Return the answers of a file, by its suffix and content.

    Delimited text: answers with the columns of `answer_files`, or an export of Label Studio. JSON:
    one object per answer, or an export of Label Studio, full or minified.

    Args:
        file: File to read; it may be compressed.
        reader: Names of a project of Label Studio, and reviewer of rows without one.

    Raises:
        InputError: The file cannot be read.
    """
    suffixes = [suffix.lower() for suffix in file.suffixes]
    if not file.is_file():
        what = "is a folder" if file.is_dir() else "does not exist"
        raise InputError(f"{file} {what}; give a file of answers")
    if set(suffixes) & set(TABLE_SUFFIXES):
        if set(read_columns(file)) >= MINIFIED:
            return read_minified_table(file, reader)
        return read_answer_table(file, reviewer=reader.reviewer)
    if set(suffixes) & set(JSON_SUFFIXES):
        return _read_json(file, reader)
    raise InputError(
        f"{file} ends in {file.suffix or 'nothing'}; allowed:"
        f" {', '.join((*TABLE_SUFFIXES, *JSON_SUFFIXES))}"
    )


def _read_json(file: Path, reader: Reader) -> Reading:
    reading = Reading(format="answers in JSON")
    for number, value, problem in read_values(file):
        place = f"entry {number:,}"
        if problem is not None:
            reading.problems.append(f"{place}: {problem}")
        elif not isinstance(value, dict):
            reading.problems.append(f"{place}: {shown(value)} is not an object")
        elif is_task(value):
            reading.format = JSON
            add_task(reading, place, value, reader)
        elif set(value) >= MINIFIED:
            reading.format = JSON_MIN
            add_minified(reading, place, value, reader)
        else:
            add_answer(reading, place, value, reader.reviewer)
    return reading


def _require_sound(file: Path, reading: Reading) -> None:
    if reading.problems:
        n = len(reading.problems)
        entries = counted(n, "entry", "entries")
        raise InputError(
            f"{file}: {entries} cannot be used, and nothing was recorded: {_some(reading.problems)}"
        )


def _some(texts: Sequence[str]) -> str:
    more = f"; and {len(texts) - _NAMED:,} more" if len(texts) > _NAMED else ""
    return "; ".join(texts[:_NAMED]) + more


def _named(given: Given) -> str:
    return given.image_id or shown(given.source_uri)


def _answer(given: Given, image_id: str, now: datetime) -> Answer:
    return Answer(
        image_id=image_id,
        label=given.label,
        reviewer=given.reviewer,
        note=given.note,
        reason=given.reason,
        seconds=given.seconds,
        origin=ReviewOrigin.IMPORT,
        kind=ReviewKind.IMPORT,
        answer_id=given.answer_id or given.new_id(image_id),
        reviewed_at=given.reviewed_at or now,
    )


def _image_ids(lake: Lake, answers: Sequence[Given]) -> dict[Given, str]:
    """Return the id of each answer's image, without those of unknown images."""
    named = {given.image_id for given in answers if given.image_id is not None}
    known = lake.has_rows_of("images", sorted(named)) if named else set()
    uris = {given.source_uri for given in answers if given.source_uri is not None}
    by_uri = _ids_by_uri(lake, uris) if uris else {}
    found = {}
    for given in answers:
        image_id = given.image_id if given.image_id in known else None
        if given.source_uri is not None:
            image_id = by_uri.get(given.source_uri)
        if image_id is not None:
            found[given] = image_id
    return found


def _ids_by_uri(lake: Lake, uris: set[str]) -> Mapping[str, str]:
    """Return the image that was last seen at each URI or path."""
    stored = {uri: redact_url(uri) if "://" in uri else _uri_of_path(uri) for uri in uris}
    seen = (
        lake.rows_of("sightings", sorted(set(stored.values())), column="source_uri")
        .filter(pl.col("image_id").is_not_null())
        .sort("seen_at", maintain_order=True)
        .unique("source_uri", keep="last", maintain_order=True)
        .select("source_uri", "image_id")
        .collect()
    )
    by_stored = dict(seen.iter_rows())
    return {uri: by_stored[place] for uri, place in stored.items() if place in by_stored}


def _uri_of_path(path: str) -> str:
    return file_uri(str(Path(path).absolute()))


class _Known:
    """Answers that a lake has about some images."""

    def __init__(self, lake: Lake, image_ids: Sequence[str]) -> None:
        names = ("image_id", "reviewer", "label", "reason", "note", "reviewed_at", "answer_id")
        rows = all_answers(lake, image_ids).select(names).collect()
        self._by_id = {row[-1]: row for row in rows.iter_rows() if row[-1] is not None}
        # Answers of versions up to 0.2.0 have no id.
        self._said = {(*row[:3], *row[4:6]) for row in rows.iter_rows()}

    def has(self, answer: Answer, given: Given) -> bool:
        """Return whether an answer is recorded.

        Raises:
            InputError: Its id is that of an answer with another content.
        """
        row = self._by_id.get(answer.answer_id)
        if row is None:
            said = (answer.image_id, answer.reviewer, answer.label, answer.note)
            return given.reviewed_at is not None and (*said, answer.reviewed_at) in self._said
        notes = (answer.note, given.note_as_written or answer.note)
        same = (answer.image_id, answer.reviewer, answer.label, answer.reason)
        if row[:4] != same or row[4] not in notes:
            raise InputError(
                f"the answer {answer.answer_id} is recorded with other content"
                f" ({_differences(row, answer)}); to record a correction, empty its answer_id and"
                " reviewed_at"
            )
        return True


def _differences(row: tuple[Any, ...], answer: Answer) -> str:
    """Return the names of the columns in which a recorded answer differs."""
    names = ("image_id", "reviewer", "label", "reason", "note")
    values = (answer.image_id, answer.reviewer, answer.label, answer.reason, answer.note)
    differ = [name for name, old, new in zip(names, row[:5], values, strict=True) if old != new]
    return ", ".join(differ)
