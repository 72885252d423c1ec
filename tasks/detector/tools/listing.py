"""List of the detectors that have a name: registered ones, those of packages, and folders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ....data.errors import AssayError, InputError
from ..weights.checkpoint import find_checkpoint
from ..weights.detector_card import Card, FolderCard
from ..weights.hub import WEIGHTS, HubId, is_cached
from ..weights.library_classifier import LibraryClassifier
from ..weights.python_detector import PythonArchitecture, added_by, added_names
from ..weights.registry import CARDS, HASH_DIGITS, DetectorCard


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One detector of `assay models list`.

    Attributes:
        name: Name for `--detector`.
        detector: Id in the tables; None where it is unknown.
        layout: Layout or description of the network.
        image_px: Side of the input; None where only the checkpoint states it.
        weights_licence: Licence of code and weights.
        here: Whether it loads without a download.
        is_pinned: Whether all 64 digits of the weights' hash are stated; else it is unverified.
        added_by: Package or folder that it comes from; None for assay's own.
        problem: Reason why it cannot be used; None where it can.
    """

    name: str
    detector: str | None
    layout: str
    image_px: int | None
    weights_licence: str
    here: bool
    is_pinned: bool
    added_by: str | None = None
    problem: str | None = None


def known_detectors(folders: Sequence[Path] = ()) -> list[Listed]:
    """Return all detectors that have a name on this machine, and those in some folders.

    Args:
        folders: Folders with weights, or folders of such folders.

    Raises:
        InputError: A folder cannot be read, or holds no detector.
    """
    rows = [_registered(card) for card in CARDS]
    rows += [_looked_into(name, added_by(name)) for name in added_names()]
    for folder in folders:
        detectors = _with_weights(folder)
        if not detectors:
            raise InputError(
                f"{folder} holds no detector: there is no {WEIGHTS} in it or in a folder of it;"
                " name a folder that has one"
            )
        rows += [_looked_into(str(detector), "its folder") for detector in detectors]
    return rows


def card_of(name: str, *, positive: str | None = None) -> DetectorCard | FolderCard | Card | None:
    """Return the card of a detector; None where neither registry nor folder has one.

    Args:
        name: Name for `--detector`.
        positive: Class that a larger logit means, for checkpoints where nothing else states it.

    Raises:
        ConfigError: The name or `positive` is wrong.
        ModelError: The files cannot be obtained or cannot be trusted.
    """
    checkpoint = find_checkpoint(name, positive=positive)
    match checkpoint.architecture:
        case LibraryClassifier(card=card):
            return card
        case PythonArchitecture(scorer=scorer):
            return scorer.card
    return checkpoint.card


def _registered(card: DetectorCard) -> Listed:
    there = card.repo is None or is_cached(HubId(repo=card.repo, revision=card.revision))
    return Listed(
        name=card.name if card.by_name else f"{card.repo}@{card.revision}",
        detector=card.detector_id,
        layout=card.layout or "either",
        image_px=card.image_px,
        weights_licence=card.weights_licence,
        here=there,
        is_pinned=len(card.weights_sha256) == HASH_DIGITS,
    )


def _looked_into(name: str, by: str) -> Listed:
    try:
        checkpoint = find_checkpoint(name)
        card = card_of(name)
    except AssayError as error:
        return Listed(
            name=name,
            detector=None,
            layout="unknown",
            image_px=None,
            weights_licence="unknown",
            here=False,
            is_pinned=False,
            added_by=by,
            problem=str(error),
        )
    licence = "not stated"
    if isinstance(card, DetectorCard):
        licence = card.weights_licence
    elif card is not None:
        licence = card.licence
    return Listed(
        name=name,
        detector=checkpoint.detector_id,
        layout=checkpoint.architecture.describe(),
        image_px=checkpoint.architecture.image_px,
        weights_licence=licence,
        here=True,
        is_pinned=checkpoint.is_pinned,
        added_by=by,
    )


def _with_weights(folder: Path) -> list[Path]:
    try:
        if (folder / WEIGHTS).exists():
            return [folder]
        return sorted(entry for entry in folder.iterdir() if (entry / WEIGHTS).exists())
    except OSError as error:
        raise InputError(f"cannot read {folder}: {error.strerror or error}") from error


def flat(values: Mapping[str, Any], inside: str = "") -> dict[str, Any]:
    """Return the values of nested tables by dotted names.

    Args:
        values: Values and tables by name.
        inside: Prefix of the names.
    """
    out: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            out |= flat(value, f"{inside}{name}.")
        else:
            out[f"{inside}{name}"] = value
    return out
