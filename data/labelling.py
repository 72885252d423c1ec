"""Which label and domain a source gives an item: by column, by sidecar, by folder.

Labels come in many spellings; what none of them covers leaves the item without a label,
and each such value is logged once, so that a misspelt vocabulary does not go unnoticed.
"""

from __future__ import annotations

import json
import logging
import math
import threading
from collections.abc import Mapping, Sequence
from typing import Final

from .errors import clean
from .items import PARENT_FOLDER, WITHDRAW, SourceOptions, column_of
from .schema import Label

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
}
_MAX_WARNED: Final = 10
_warned: set[str] = set()
_warned_lock = threading.Lock()


def parse_label(value: object) -> Label | None:
    """The label that a value spells, whatever its case; None for what is not in the vocabulary.

    Numbers follow the order of the classes real, fake: 0 is real, 1 is fake. A data set that
    counts the other way must name its classes.
    """
    if isinstance(value, bool | float):
        value = int(value) if math.isfinite(value) and value == int(value) else None
    if not isinstance(value, str | int):
        return None
    return _SPELLINGS.get("_".join(str(value).strip().lower().replace("-", " ").split()))


def tags_of(
    options: SourceOptions,
    *,
    folders: Sequence[str] = (),
    fields: Mapping[str, object] | None = None,
) -> tuple[str | None, str | None]:
    """The label and the domain of an item.

    Args:
        options: Where they come from.
        folders: Names of the folders that the item lies in, the outermost first. The label
            is the nearest that spells one; the domain is the nearest.
        fields: The item's row or sidecar.
    """
    row = fields or {}
    label: Label | None
    if options.label_from == WITHDRAW:
        # The vocabulary's word for an item that has no label after all.
        label = Label.UNSURE
    elif options.label_from == PARENT_FOLDER:
        label = next(filter(None, map(parse_label, reversed(folders))), None)
        if label is None and folders:
            _warn_once(folders[-1])
    else:
        value = row.get(column_of(options.label_from) or "label")
        label = parse_label(value)
        if label is None and value is not None and value != "":
            _warn_once(str(value))
    if options.domain_from == WITHDRAW:
        return (label.value if label else None), ""
    if options.domain_from == PARENT_FOLDER:
        domain: object = folders[-1] if folders else None
    else:
        domain = row.get(column_of(options.domain_from) or "domain")
    named = (
        " ".join(clean(str(domain)).split())[:100] if isinstance(domain, str | int | float) else ""
    )
    return (label.value if label else None), (named or options.domain)


def sidecar_stem(name: str) -> str | None:
    """What of a sidecar's file name is its picture's; None for other files."""
    for suffix in SIDECAR_SUFFIXES:
        if name.endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)]
    return None


def stems_of_picture(name: str) -> list[str]:
    """The stems that a sidecar of this picture may have, the nearest first.

    "001.left.jpg" has "001.left.jpg", "001.left" and "001": so do WebDataset and exports
    that append the suffix. Empty for what is no picture by its name.
    """
    if not name.lower().endswith(PICTURE_SUFFIXES):
        return []
    parts = name.split(".")
    return [".".join(parts[:n]) for n in range(len(parts), 0, -1) if parts[0]]


PICTURE_SUFFIXES: Final = tuple(
    f".{suffix}"
    for suffix in (
        *("jpg", "jpeg", "jpe", "jfif", "png", "apng", "webp", "avif", "gif", "bmp", "dib"),
        *("tif", "tiff", "heic", "heif", "jxl", "jp2", "psd", "svg", "tga", "ppm", "pgm", "dng"),
    )
)


def read_sidecars(bodies: Mapping[str, bytes]) -> dict[str, object]:
    """The fields that a picture's sidecars give, by the sidecars' suffixes.

    `.json` gives its keys, `.cls` a label. `.txt` gives a label when it spells one and is a
    caption otherwise. A damaged sidecar gives nothing, and is logged.
    """
    fields: dict[str, object] = {}
    if ".txt" in bodies and (label := parse_label(_text(bodies[".txt"])[:100])):
        fields["label"] = label.value
    if ".cls" in bodies:
        fields["label"] = _text(bodies[".cls"])[:100].strip()
    if ".json" in bodies:
        try:
            parsed = json.loads(bodies[".json"])
        except (ValueError, RecursionError):
            _warn_once("(a .json sidecar that is no JSON)")
        else:
            fields |= parsed if isinstance(parsed, dict) else {}
    return fields


def _text(body: bytes) -> str:
    return body.decode("utf-8", "replace")


def _warn_once(value: str) -> None:
    shown = clean(value[:1000])[:80]
    with _warned_lock:
        if shown in _warned or len(_warned) >= _MAX_WARNED:
            return
        _warned.add(shown)
    known = ", ".join(sorted(_SPELLINGS))
    _log.warning('label "%s" is not known: kept without a label; known are %s', shown, known)
