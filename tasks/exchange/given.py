"""Answers as a file gives them, before their images are looked up."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from ...data.errors import InputError
from ...data.sources.labelling import parse_label
from ...data.text.wording import shown
from ...data.vocabulary import Label

LABELS: Final = ", ".join(Label)
_TIME_EXAMPLE: Final = "2026-03-01T12:00:00Z"


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """One answer of a file.

    Attributes:
        place: Place in the file, such as `line 5`.
        image_id: Id of the image, 64 hex digits; None if the file names a URI.
        source_uri: URI or path of the image; None if the file names its id.
        label: Label of the image.
        reviewer: Name of the reviewer.
        reason: Reason of the answer, or None.
        note: Note of the reviewer, or None.
        note_as_written: Note with the apostrophe that protects spreadsheets, if it has one.
        seconds: Time taken in seconds, or None.
        reviewed_at: Time of the answer; None if the file has none.
        answer_id: Id of the answer; None if the file has none.
    """

    place: str
    image_id: str | None = None
    source_uri: str | None = None
    label: str
    reviewer: str
    reason: str | None = None
    note: str | None = None
    note_as_written: str | None = None
    seconds: float | None = None
    reviewed_at: datetime | None = None
    answer_id: str | None = None

    def new_id(self, image_id: str) -> str:
        """Return an answer id that depends on the content alone, so that a repeat has the same."""
        said = [image_id, self.reviewer, self.label, self.reason, self.note]
        said.append(None if self.reviewed_at is None else self.reviewed_at.isoformat())
        return hashlib.sha256(json.dumps(said).encode("utf-8", "replace")).hexdigest()[:32]


@dataclass(slots=True, kw_only=True)
class Reading:
    """What was read from a file.

    Attributes:
        format: Name of the format.
        answers: Answers, in the order of the file.
        problems: Defects, each with its place.
        left_out: Number of entries that are no answers, by reason.
    """

    format: str
    answers: list[Given] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def label_of(value: object) -> str:
    """Return the label of a cell.

    Raises:
        InputError: The value spells no label.
    """
    label = parse_label(value)
    if label is None:
        raise InputError(f"label {shown(value)} is unknown; allowed: {LABELS}")
    return label.value


def time_of(value: object) -> datetime | None:
    """Return the time of a cell; None for an empty one. A time without a zone is UTC.

    Raises:
        InputError: The value is no time in ISO 8601.
    """
    text = "" if value is None else str(value).strip()
    if not text:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(
            f"time {shown(text)} is not in ISO 8601; write it like {_TIME_EXAMPLE}"
        ) from error
    return (time.replace(tzinfo=UTC) if time.utcoffset() is None else time).astimezone(UTC)


def text_of(value: Any) -> str | None:
    """Return the text of a cell without blanks at its ends; None for an empty one."""
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text.strip() or None
