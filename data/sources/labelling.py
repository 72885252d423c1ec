"""Label and domain of an item, from a column, a sidecar or a folder.

Labels have many accepted spellings. Any other value leaves the item without a label and with a
note; each such value is logged once, so that a misspelt vocabulary is noticed.
"""

from __future__ import annotations

import json
import logging
import math
import re
import threading
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

from ..errors import clean, shorten
from ..text.unicode import decode_escaped, decode_text, valid_text
from ..vocabulary import Label
from .items import PARENT_FOLDER, WITHDRAW, SourceOptions, Tags, column_of

_log = logging.getLogger(__name__)

SIDECAR_SUFFIXES: Final = (".json", ".txt", ".cls")
MAX_SIDECAR_BYTES: Final = 2**20

_SPELLINGS: Final[dict[str, Label]] = {
    **dict.fromkeys(
        ("real", "0", "0_real", "authentic", "genuine", "photo", "natural", "nature", "human"),
        Label.REAL,
    ),
    **dict.fromkeys(
        ("fake", "1", "1_fake", "ai", "ai_generated", "aigc", "generated", "synthetic", "machine"),
        Label.FAKE,
    ),
    "machine_made": Label.FAKE,
    "laundered": Label.LAUNDERED,
    "unsure": Label.UNSURE,
    "false": Label.REAL,
    "true": Label.FAKE,
}
# NumPy writes 1.000e+00. More digits are not a label, and Python refuses to parse thousands.
_WHOLE_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,9}(?:\.0*)?(?:e[+-]?0{1,9})?", re.ASCII)
# Null values as pandas, R, Spark and databases write them into text.
_NULLS: Final = frozenset({"", "nan", "null", "none", "<na>", "n/a", "\\n"})
UNKNOWN_LABEL: Final = "label not known: "
"""Prefix of the note of an item with an unknown label."""
_MAX_WARNED: Final = 10
_warned: set[str] = set()
_warned_lock = threading.Lock()


def parse_label(value: object) -> Label | None:
    """Return the label of a value, in any case; None for any other value.

    Numbers are class indices in the order real, fake: 0 and false are real, 1 and true are fake. A
    text is read as the value it spells ("1.0" is 1, "True" is true), so that a table gives the same
    labels in every file format. A data set with the opposite order must name its classes.
    """
    if isinstance(value, bytes):
        value = decode_escaped(value)
    if isinstance(value, Decimal):
        value = str(value)
    if isinstance(value, bool | float):
        value = int(value) if math.isfinite(value) and value == int(value) else None
    if not isinstance(value, str | int) or (isinstance(value, int) and value not in {0, 1}):
        return None
    text = str(value).strip().lower()
    if _WHOLE_NUMBER.fullmatch(text):
        return _SPELLINGS.get(str(int(re.split("[.e]", text)[0])))
    return _SPELLINGS.get("_".join(text.replace("-", " ").split())) if text[:1] != "-" else None


def unknown_label(note: str | None) -> str | None:
    """Return the value in a note on an unknown label; None for other notes."""
    if note is None or not note.startswith(UNKNOWN_LABEL):
        return None
    return note.removeprefix(UNKNOWN_LABEL)


def is_missing(value: object) -> bool:
    """Return whether a value is null, blank, or a text that tables write for null."""
    if isinstance(value, bytes):
        return not value.strip()
    if isinstance(value, str):
        return value.strip().lower() in _NULLS
    return value is None or (isinstance(value, float) and math.isnan(value))


def pick(
    fields: Mapping[str, object], name: str, *, is_requested: bool = False
) -> tuple[object, str | None]:
    """Return the value of a key in any case, and a note on ambiguous keys.

    Args:
        fields: Fields of a row or a sidecar.
        name: Name of the key.
        is_requested: Whether the user wrote the name; an exact match then takes precedence.

    Returns:
        Value and None; None and a note if keys differ by case only; None and None without the key.
    """
    if is_requested and name in fields:
        return fields[name], None
    wanted = name.strip().lower()
    found = [key for key in fields if str(key).strip().lower() == wanted]
    if len(found) > 1:
        return None, f"keys that differ by case only: {', '.join(map(str, found))}"
    return (fields[found[0]], None) if found else (None, None)


def tags_of(
    options: SourceOptions,
    *,
    folders: Sequence[str] = (),
    fields: Mapping[str, object] | None = None,
    sidecars: Mapping[str, bytes] | None = None,
    note: str | None = None,
) -> Tags:
    """Return label and domain of an item, and a note on a value that was not accepted.

    Args:
        options: Settings of listing; `label_from`, `domain_from` and `domain` are used.
        folders: Names of the folders above the item, the outermost first. With "parent-folder" the
            label is the nearest that spells one, and the domain is the nearest.
        fields: Fields of the item's row.
        sidecars: Bytes of the item's sidecars by suffix; their fields take precedence over the row.
        note: Note on an earlier problem, which takes precedence.
    """
    row = dict(fields or {})
    if sidecars:
        from_sidecars, damage = _read_sidecars(sidecars)
        nearer = {key.strip().lower() for key in from_sidecars}
        row = {key: value for key, value in row.items() if key.strip().lower() not in nearer}
        row, note = row | from_sidecars, note or damage
    value: object = None
    label: Label | None
    if options.label_from == WITHDRAW:
        # "unsure" overrides the labels of earlier runs.
        label = Label.UNSURE
    elif options.label_from == PARENT_FOLDER:
        value = folders[-1] if folders else None
        label = next(filter(None, map(parse_label, reversed(folders))), None)
    else:
        requested = column_of(options.label_from)
        value, clash = pick(row, requested or "label", is_requested=requested is not None)
        label, note = parse_label(value), note or clash
    if label is None and not is_missing(value):
        shown = _shown(value)
        _warn_once(shown)
        note = note or f"{UNKNOWN_LABEL}{shown}"
    if options.domain_from == WITHDRAW:
        return Tags(label.value if label else None, "", note)
    if options.domain_from == PARENT_FOLDER:
        domain: object = folders[-1] if folders else None
    else:
        requested = column_of(options.domain_from)
        domain, clash = pick(row, requested or "domain", is_requested=requested is not None)
        note = note or clash
    is_name = not is_missing(domain) and not isinstance(domain, Mapping | list)
    named = _plain(domain)[:100] if is_name else ""
    default = valid_text(options.domain) if options.domain else None
    return Tags(label.value if label else None, named.strip() or default, note)


def _plain(value: object) -> str:
    """Return a value as one line of valid text."""
    text = decode_escaped(value) if isinstance(value, bytes) else str(value)
    return " ".join(clean(valid_text(text[:1000])).split())


def _shown(value: object) -> str:
    return shorten(_plain(value), 80)


def sidecar_stem(name: str) -> str | None:
    """Return the file name of a sidecar without its suffix, in any case; None for other files."""
    lower = name.lower()
    for suffix in SIDECAR_SUFFIXES:
        if lower.endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)]
    return None


def stems_of_image(name: str) -> list[str]:
    """Return the stems that a sidecar of this image may have, the nearest first.

    "001.left.jpg" has "001.left.jpg", "001.left" and "001", which covers WebDataset and exports
    that append the suffix. [] for a file that is not an image by name.
    """
    if not name.lower().endswith(IMAGE_SUFFIXES):
        return []
    parts = name.split(".")
    return [".".join(parts[:n]) for n in range(len(parts), 0, -1) if parts[0]]


IMAGE_SUFFIXES: Final = tuple(
    f".{suffix}"
    for suffix in (
        *("jpg", "jpeg", "jpe", "jfif", "png", "apng", "webp", "avif", "gif", "bmp", "dib"),
        *("tif", "tiff", "heic", "heif", "jxl", "jp2", "psd", "svg", "tga", "ppm", "pgm", "dng"),
    )
)


def _read_sidecars(bodies: Mapping[str, bytes]) -> tuple[dict[str, object], str | None]:
    """Return the fields of an image's sidecars, and a note on a damaged one.

    `.json` gives its keys, `.cls` a label, `.txt` a label if it spells one (it is a caption
    otherwise). A damaged sidecar gives no fields and is logged.
    """
    fields: dict[str, object] = {}
    note = None
    if ".txt" in bodies and (label := parse_label(_text(bodies[".txt"])[:100])):
        fields["label"] = label.value
    if ".cls" in bodies:
        fields["label"] = _text(bodies[".cls"])[:100].strip()
    if ".json" in bodies:
        try:
            parsed = json.loads(_text(bodies[".json"]))
        except (ValueError, RecursionError):
            _warn_once("(a .json sidecar that is not JSON)")
            note = "a .json sidecar that is not JSON"
        else:
            parsed_fields = parsed if isinstance(parsed, dict) else {}
            if "label" in fields and pick(parsed_fields, "label") != (None, None):
                del fields["label"]
            fields |= {key: value for key, value in parsed_fields.items() if not is_missing(value)}
    return fields, note


def _text(body: bytes) -> str:
    try:
        return decode_text(body)
    except ValueError:
        return ""


def _warn_once(value: str) -> None:
    shown = clean(value[:1000])[:80]
    with _warned_lock:
        if shown in _warned or len(_warned) >= _MAX_WARNED:
            return
        _warned.add(shown)
    known = ", ".join(sorted(_SPELLINGS))
    _log.warning('unknown label "%s": stored without a label; allowed: %s', shown, known)
