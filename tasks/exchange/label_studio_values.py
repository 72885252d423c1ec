"""Values of Label Studio: labels, reasons and notes of controls, annotators, and images of tasks.

Source: Label Studio's documentation, "Label Studio Task Format" and the tags Choices, Rating and
TextArea, https://labelstud.io/guide/task_format.html
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from ...data.errors import ConfigError, InputError
from ...data.text.wording import shown
from ...data.vocabulary import Label, ReviewReason
from .given import label_of

LABEL_CONTROL: Final = "label"
REASON_CONTROL: Final = "reason"
NOTE_CONTROL: Final = "note"
IMAGE_KEY: Final = "image"
LABEL_TEXTS: Final = {
    Label.REAL.value: "real: made by a camera",
    Label.FAKE.value: "fake: AI-generated",
    Label.LAUNDERED.value: "laundered: a photo that was altered afterwards",
    Label.UNSURE.value: "unsure: cannot tell",
}
"""Texts of the labels in the interface; annotations have the labels, or these."""
# Prefix of files that Label Studio serves from its own machine.
LOCAL_FILES: Final = "/data/local-files/"

_ID: Final = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_DATA_URI: Final = re.compile(r"data:[^,]*;base64,", re.IGNORECASE)
_REMOTE: Final = re.compile(r"(?:https?|s3|gs|az|azure-blob|file)://", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Names of a project of Label Studio.

    Attributes:
        control: Name of the control with the label; None for the one named `label`, or for the
            only one whose values are labels.
        labels: Label by the text of a choice or the number of a rating, beside the usual spellings.
        annotators: Name of a reviewer by the number or the e-mail address of a user.
        reviewer: Reviewer of annotations without an annotator; None if each must have one.
        root: Folder of the files that tasks name by a path; None if there is none.
    """

    control: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    annotators: Mapping[str, str] = field(default_factory=dict)
    reviewer: str | None = None
    root: Path | None = None

    def label(self, texts: Sequence[str]) -> str:
        """Return the label that the chosen texts of a control spell.

        Raises:
            InputError: A text spells no label, or they spell several.
        """
        known = {text: label for label, text in LABEL_TEXTS.items()} | dict(self.labels)
        found = {known.get(text) or known.get(text.lower()) or label_of(text) for text in texts}
        if len(found) != 1:
            raise InputError(f"several labels are chosen: {', '.join(sorted(found))}")
        return found.pop()

    def annotator(self, value: object) -> str:
        """Return the name of an annotator: an e-mail address, a name, or a user's number.

        Raises:
            InputError: There is none, and no other reviewer is named.
        """
        if isinstance(value, Mapping):
            names = (value.get("first_name"), value.get("last_name"))
            whole = " ".join(str(name).strip() for name in names if name)
            named = str(value.get("id"))
            value = named if named in self.annotators else value.get("email") or whole or named
        text = "" if value is None else str(value).strip()
        if text in self.annotators:
            return self.annotators[text]
        if text.isdecimal():
            return f"label-studio user {text}"
        if text and text not in {"None", "{}"}:
            return text
        if self.reviewer is None:
            raise InputError("no annotator is named; pass --reviewer NAME")
        return self.reviewer


def label_map(pairs: Sequence[str]) -> dict[str, str]:
    """Return the labels of choices and ratings from texts such as `AI=fake`.

    Raises:
        ConfigError: A text is no such pair.
    """
    labels = {}
    for pair in pairs:
        value, sign, label = pair.rpartition("=")
        if not sign or not value.strip() or label.strip() not in set(Label):
            raise ConfigError(
                f"--map {shown(pair)} is not VALUE=LABEL, with a label of {', '.join(Label)}"
            )
        labels[value.strip().lower()] = label.strip()
    return labels


def annotator_map(pairs: Sequence[str]) -> dict[str, str]:
    """Return the names of reviewers from texts such as `7=ann`.

    Raises:
        ConfigError: A text is no such pair.
    """
    names = {}
    for pair in pairs:
        user, sign, name = pair.partition("=")
        if not sign or not user.strip() or not name.strip():
            raise ConfigError(f"--annotator {shown(pair)} is not USER=NAME, such as 7=ann")
        names[user.strip()] = name.strip()
    return names


def texts_of(value: Any) -> Iterator[str]:
    """Yield the texts in a control's value, of any shape: full, minified, or JSON in a cell."""
    if isinstance(value, str) and value[:1] in {"{", "["}:
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            yield value
            return
    if isinstance(value, Mapping):
        for key in ("choices", "rating", "text", "number"):
            if key in value:
                yield from texts_of(value[key])
    elif isinstance(value, list):
        for part in value:
            yield from texts_of(part)
    elif isinstance(value, str) and value.strip():
        yield value.strip()
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield f"{value:g}"


def reason_and_note(reasons: Sequence[str], notes: Sequence[str]) -> tuple[str | None, str | None]:
    """Return the reason of an answer and its note; reasons that assay does not know join the note.

    Args:
        reasons: Chosen texts of the control of reasons: words of `ReviewReason`, or their texts.
        notes: Texts of the control of notes.
    """
    known = {word.text.lower(): word.value for word in ReviewReason}
    known |= {word.value: word.value for word in ReviewReason}
    found = [known[text.lower()] for text in reasons if text.lower() in known]
    others = [f"reason: {text}" for text in reasons if text.lower() not in known]
    others += [f"reason: {word}" for word in found[1:]]
    note = "\n".join([*notes, *others])
    return (found[0] if found else None), (note or None)


def image_of_task(data: Mapping[str, Any], root: Path | None) -> tuple[str | None, str | None]:
    """Return the image of a task: its id by the hash of its content, or else its URI.

    Args:
        data: Data of the task.
        root: Folder of the files that the task names by a path.

    Raises:
        InputError: The data names no image that could be looked up.
    """
    for key in ("image_id", "sha256"):
        text = str(data.get(key) or "").strip().lower()
        if _ID.fullmatch(text):
            return text, None
    image = _image_value(data)
    if image is not None and (head := _DATA_URI.match(image)) is not None:
        return _hash_of_base64(image[head.end() :]), None
    source_uri = str(data.get("source_uri") or "").strip()
    if source_uri:
        return None, source_uri
    if image is None:
        raise InputError("the task names no image: it has none of image_id, sha256 and image")
    if root is not None and (file := _file_below(root, image)) is not None:
        return hashlib.sha256(file.read_bytes()).hexdigest(), None
    if (named := _ID.findall(image.lower())) and len(set(named)) == 1:
        return named[0], None
    if _REMOTE.match(image):
        return None, image
    raise InputError(
        f"the image {shown(image)} is a path on the machine of Label Studio; keep image_id in the"
        " task's data, or pass --root with the folder of the files"
    )


def _image_value(data: Mapping[str, Any]) -> str | None:
    """Return the image of a task's data: under its usual key, or the only value that can be one."""
    value = data.get(IMAGE_KEY)
    if isinstance(value, str) and value.strip():
        return value.strip()
    may_be = [
        text.strip()
        for key, text in data.items()
        if isinstance(text, str)
        and key != "source_uri"
        and (_DATA_URI.match(text) or _REMOTE.match(text) or text.startswith("/data/"))
    ]
    return may_be[0] if len(may_be) == 1 else None


def _hash_of_base64(text: str) -> str:
    try:
        return hashlib.sha256(base64.b64decode(text, validate=True)).hexdigest()
    except (binascii.Error, ValueError) as error:
        raise InputError("the image of the task is not valid base64") from error


def _file_below(root: Path, image: str) -> Path | None:
    """Return the file of a path of Label Studio below a folder; None if there is none there."""
    parts = urlsplit(image)
    named = parse_qs(parts.query).get("d", [""])[0] if LOCAL_FILES in parts.path else parts.path
    if not named or "\0" in named:
        return None
    folder = root.resolve()
    for path in (named.lstrip("/"), Path(named).name):
        # A path that leaves the folder is not followed.
        file = (folder / path).resolve()
        if file.is_relative_to(folder) and file.is_file():
            return file
    return None
