"""One answer of a reviewer about one image, checked where it is made."""

from __future__ import annotations

import hashlib
import json
import math
import re
import unicodedata
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from ...data.errors import InputError, shorten
from ...data.schema import Row
from ...data.text.printable import printable
from ...data.text.unicode import is_valid
from ...data.text.wording import counted
from ...data.vocabulary import Label, ReviewKind, ReviewOrigin, ReviewReason, Shown

MAX_REVIEWER_CHARS: Final = 200
MAX_NOTE_CHARS: Final = 5_000

_IMAGE_ID: Final = re.compile(r"[0-9a-f]{64}")
_ANSWER_ID: Final = re.compile(r"[0-9a-f]{32}")


def new_answer_id() -> str:
    """Return a new id of an answer."""
    return uuid.uuid4().hex


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer, or the withdrawal of one.

    Attributes:
        image_id: Id of the image, 64 hex digits.
        label: Label: real, fake, laundered or unsure.
        reviewer: Name of the reviewer, 1 to 200 printable characters in one line.
        note: Note of the reviewer, at most 5,000 characters; None without one.
        reason: Reason of the answer, a word of `ReviewReason`; None without one.
        shown: Facts shown beside the image, words of `Shown`.
        seconds: Time from the display of the image to the answer, at least 0; None if unknown.
        origin: Interface of the answer, a word of `ReviewOrigin`.
        kind: Occasion of the answer, a word of `ReviewKind`.
        withdraws: Id of the reviewer's earlier answer that this row takes back; the row is then no
            answer itself.
        run_id: Id of the run whose decision was shown; None if none was.
        answer_id: Id of the answer, 32 hex digits; one id is recorded once.
        reviewed_at: Time of the answer, with a time zone.

    Raises:
        InputError: A value is not allowed; the message names it, and what is allowed.
    """

    image_id: str
    label: str
    reviewer: str
    note: str | None = None
    reason: str | None = None
    shown: Sequence[str] = ()
    seconds: float | None = None
    origin: str
    kind: str
    withdraws: str | None = None
    run_id: str | None = None
    answer_id: str = field(default_factory=new_answer_id)
    reviewed_at: datetime = field(default_factory=_now)

    def __post_init__(self) -> None:
        """Check every value."""
        require_image_id(self.image_id)
        require_reviewer(self.reviewer)
        object.__setattr__(self, "label", _word(self.label, Label, "label"))
        object.__setattr__(self, "origin", _word(self.origin, ReviewOrigin, "origin"))
        object.__setattr__(self, "kind", _word(self.kind, ReviewKind, "kind"))
        if self.reason is not None:
            object.__setattr__(self, "reason", _word(self.reason, ReviewReason, "reason"))
        shown = (_word(word, Shown, "what was shown") for word in self.shown)
        object.__setattr__(self, "shown", tuple(dict.fromkeys(shown)))
        object.__setattr__(self, "note", _checked_note(self.note))
        object.__setattr__(self, "seconds", _checked_seconds(self.seconds))
        object.__setattr__(self, "reviewed_at", _checked_time(self.reviewed_at))
        for name in ("answer_id", "withdraws"):
            value = getattr(self, name)
            if value is not None and not _matches(_ANSWER_ID, value):
                raise InputError(
                    f"{name} {_seen(value)} is not an id of an answer; allowed: 32 lower-case hex"
                    " digits, as uuid4().hex gives them"
                )
        if self.answer_id is None or self.withdraws == self.answer_id:
            raise InputError("an answer needs an id, and cannot take back itself")

    def as_row(self) -> Row:
        """Return the answer as a row of the table `reviews`."""
        return asdict(self) | {"shown": list(self.shown)}

    def as_json(self) -> str:
        """Return the answer as JSON, for the journal."""
        return json.dumps(self.as_row() | {"reviewed_at": self.reviewed_at.isoformat()})

    def digest(self) -> bytes:
        """Return a hash of what was said, without the times.

        A client that sends an answer again may give it another time, and says the same.
        """
        said = [self.image_id, self.label, self.reviewer, self.note, self.reason, self.withdraws]
        return hashlib.sha256(json.dumps(said).encode()).digest()[:8]


def row_of_json(text: str) -> Row:
    """Return the row of an answer from the journal."""
    row: dict[str, Any] = json.loads(text)
    return row | {"reviewed_at": datetime.fromisoformat(row["reviewed_at"])}


def withdrawal(
    row: Row, *, origin: str, answer_id: str | None = None, note: str | None = None
) -> Answer:
    """Return the withdrawal of an answer by its own reviewer.

    Its label is `unsure`: versions of assay without withdrawals then take it for no answer.

    Args:
        row: Answer to take back, with image_id, reviewer, kind and answer_id.
        origin: Interface of the withdrawal, a word of `ReviewOrigin`.
        answer_id: Id of the withdrawal; None for a new one.
        note: Note of the reviewer.

    Raises:
        InputError: The answer has no id, since an older version of assay wrote it.
    """
    if row["answer_id"] is None:
        raise InputError(
            "answers of assay 0.2.0 and older have no id, so that they cannot be taken back;"
            " answer again instead: the latest answer counts"
        )
    return Answer(
        image_id=row["image_id"],
        label=Label.UNSURE,
        reviewer=row["reviewer"],
        note=note,
        origin=origin,
        kind=row["kind"],
        withdraws=row["answer_id"],
        answer_id=answer_id or new_answer_id(),
    )


def require_image_id(image_id: str) -> None:
    """Refuse a text that cannot be the id of an image.

    Raises:
        InputError: The text is not 64 hex digits.
    """
    if not _matches(_IMAGE_ID, image_id):
        raise InputError(
            f"image id {_seen(image_id)} is not an id; allowed: 64 lower-case hex digits,"
            " as `assay ls` lists them"
        )


def require_reviewer(reviewer: str) -> None:
    """Refuse a text that cannot be the name of a reviewer.

    Raises:
        InputError: The name is empty, too long, has blanks at its ends, line breaks or control
            characters.
    """
    allowed = f"allowed: 1 to {MAX_REVIEWER_CHARS} printable characters in one line"
    if not isinstance(reviewer, str):
        raise InputError(f"the reviewer's name {_seen(reviewer)} is not text; {allowed}")
    if not reviewer.strip():
        raise InputError(f"the reviewer's name is empty; {allowed}; pass --reviewer NAME")
    if len(reviewer) > MAX_REVIEWER_CHARS:
        raise InputError(
            f"the reviewer's name has {counted(len(reviewer), 'character')}; {allowed}; shorten it"
        )
    if reviewer != reviewer.strip():
        raise InputError(f"the reviewer's name {_seen(reviewer)} has blanks at its ends; cut them")
    if printable(reviewer) != reviewer or len(f"{reviewer}.".splitlines()) > 1 or "\t" in reviewer:
        raise InputError(
            f"the reviewer's name {_seen(printable(reviewer))} has control characters; {allowed};"
            " leave them out"
        )


def _matches(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _seen(value: object) -> str:
    return shorten(repr(value), 60)


def _word(value: str, words: type[StrEnum], name: str) -> str:
    """Return a word of a vocabulary as plain text."""
    for member in words:
        if member.value == value:
            return member.value
    raise InputError(f"{name} {_seen(value)} is unknown; allowed: {', '.join(words)}")


def _checked_note(note: str | None) -> str | None:
    """Return a note with line feeds as line ends, None for an empty one."""
    if note is None:
        return None
    if not isinstance(note, str):
        raise InputError(f"the note {_seen(note)} is not text; give text or none")
    note = note.replace("\r\n", "\n").replace("\r", "\n").strip()
    if len(note) > MAX_NOTE_CHARS:
        raise InputError(
            f"the note has {len(note):,} characters; allowed: {MAX_NOTE_CHARS:,}; shorten it"
        )
    controls = {sign for sign in note if unicodedata.category(sign) == "Cc"} - {"\n", "\t"}
    if controls or not is_valid(note):
        raise InputError("the note has control characters or is not valid text; leave them out")
    return note or None


def _checked_seconds(seconds: float | None) -> float | None:
    if seconds is None:
        return None
    is_number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
    # More than float32 can hold would be stored as infinite.
    if not is_number or not math.isfinite(seconds) or not 0 <= seconds < 1e9:
        raise InputError(f"the time of {_seen(seconds)} seconds is not a finite number from 0 on")
    return float(seconds)


def _checked_time(time: datetime) -> datetime:
    if not isinstance(time, datetime) or time.utcoffset() is None:
        raise InputError(f"the time {_seen(time)} has no time zone; give it in UTC")
    return time.astimezone(UTC)
