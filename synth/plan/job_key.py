"""What tells one picture to be made from another: everything that decides its pixels.

A key says nothing of where things stand: the name of a block, the order of blocks, the path of
the plan or of a file that is known by its content. So an edited plan keeps the pictures that it
still asks for, and a file that was replaced makes new ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ...data.schema import Label
from .seeds import row_key
from .settings import AIMS

KEY_VERSION: Final = 2
"""Of what the key is made of; 1 was the settings as they stand in the plan."""
MEASURED: Final = frozenset({"clip", "ocr"})
"""Settings that measure a picture and leave it as it is."""
# What is known of a prompt and reaches no generator; the aim counts as what comes of it.
_TOLD_ABOUT: Final = frozenset({"category", "expected_text", "aim"})
DEFAULTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "image-to-image": {"strength": 0.5},
    "inpaint": {"strength": 1.0, "mask": "box"},
    "aligned": {"dct_blend": 1.0},
    "attack": {"kind": "apgd", "epsilon": 4.0, "steps": 20, "survive_files": False},
    "latent-attack": {"box": 0.3, "steps": 10},
}
"""What holds where a plan says nothing; of generators, their presets say the rest."""
# Methods that draw nothing at random: another seed of the plan makes the same pictures.
_UNSEEDED: Final = frozenset({"launder"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What the names in a job's settings stand for at the moment."""

    pixels: Mapping[str, Any] = field(default_factory=dict)
    """Ids and hashes that decide the pixels, in the place of the settings of their name."""
    measures: Mapping[str, str] = field(default_factory=dict)
    """Ids of what measures the picture."""
    recorded: Mapping[str, str | None] | None = None
    """What a row of version 1 says of a picture from the same contents; None: not enough."""


def key_of(
    method: str,
    settings: Mapping[str, Any],
    *,
    parent_id: str | None,
    parent_label: str | None,
    seed: int,
    contents: Contents,
) -> str:
    """Return the key of a job, 24 hex digits.

    Args:
        method: How the picture is made.
        settings: One set of the method's settings.
        parent_id: Id of the parent's bytes.
        parent_label: Label of the parent; decides the aim of attacks and what the file says.
        seed: Seed of the plan.
        contents: What names in the settings stand for.
    """
    decisive = {
        name: _canonical(value)
        for name, value in {**DEFAULTS.get(method, {}), **settings, **contents.pixels}.items()
        # An empty text is none: no negative prompt, no adapter.
        if name not in MEASURED | _TOLD_ABOUT and value is not None and value != ""
    }
    return row_key(
        version=KEY_VERSION,
        method=method,
        settings=decisive,
        parent=parent_id,
        follows=_follows_label(method, settings, parent_label),
        seed=None if method in _UNSEEDED else seed,
    )


def aim_of(settings: Mapping[str, Any], parent_label: str | None) -> int:
    """Return which way an attack moves the logit: fakes pass, photos are flagged, unless told."""
    told = settings.get("aim")
    if told is None:
        return AIMS["raise"] if parent_label == Label.REAL.value else AIMS["lower"]
    return AIMS[str(told)]


def _follows_label(method: str, settings: Mapping[str, Any], parent_label: str | None) -> list[Any]:
    """What a picture and its mark take from the label of its parent."""
    is_fake = parent_label == Label.FAKE.value
    match method:
        case "image-to-image" | "inpaint" | "launder":
            return [is_fake]
        case "attack":
            is_photo = parent_label in {Label.REAL.value, Label.LAUNDERED.value}
            return [is_photo, aim_of(settings, parent_label)]
        case "latent-attack":
            return [aim_of(settings, parent_label)]
    return []


def _canonical(value: Any) -> Any:
    """Numbers that are equal alike: 1 and 1.0 make the same picture."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
