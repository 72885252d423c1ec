"""A checkpoint that is known to be what its name says, before anything is loaded.

The order is: what the name may stand for, where the files are, what kind they are, whether
their hash is the pinned one, whether tensors and config agree, which way the logit points.
Imports no model library.
"""

from __future__ import annotations

import functools
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ....data.errors import ConfigError
from ..inputs.profiles import Profile, profile_for, profile_names
from . import registry
from .architecture import Architecture, architecture_of, check_card
from .folder_settings import (
    agreed_direction,
    direction_of,
    folder_settings,
    profile_of,
    read_config,
    read_toml_beside,
)
from .hub import CheckpointFiles
from .locate import Place, locate
from .registry import DetectorCard, Direction, card_by_weights
from .safetensors_file import check_hash, read_header, read_weights, sha256_of

FULL_HASH_DIGITS: Final = 64

_CHECKING: Final = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A checkpoint that passed every check, not loaded yet.

    Attributes:
        name: As it was asked for.
        detector_id: Name and revision, as `scores.detector` holds them.
        weights_sha256: Hash of the weights file.
        raw_weights: All bytes of the weights file.
        architecture: Of the network.
        positive: What a larger logit of the network itself means.
        profile: Preprocessing that it was trained with.
        card: What the registry knows of it.
        is_pinned: Whether all 64 digits of the hash were stated before the file was read.
    """

    name: str
    detector_id: str
    weights_sha256: str
    raw_weights: bytes
    architecture: Architecture
    positive: Direction
    profile: Profile
    card: DetectorCard | None
    is_pinned: bool


def find_checkpoint(
    name: str, *, positive: str | None = None, cache_dir: str | Path | None = None
) -> Checkpoint:
    """Find and check a checkpoint without loading it.

    The last ones stay in memory: as long as no file changes, each is read and hashed once.

    Args:
        name: Registered name, `org/name@<40 hex digits>`, or a folder.
        positive: What a larger logit means, for checkpoints that nothing else tells it of.
        cache_dir: Cache of the hub; default: the hub's own, as its environment variables say.

    Raises:
        ConfigError: The name or `positive` is wrong.
        ModelError: The files cannot be had or cannot be trusted.
    """
    stated = direction_of(positive, "positive")
    place = locate(name, cache_dir)
    # One thread reads, the others are given what it read.
    with _CHECKING:
        return _checked(name, place, place.state(), stated, registry.CARDS)


def chosen_profile(asked: str | None, checkpoint: Checkpoint) -> Profile:
    """Return the profile of that name for the checkpoint's input, or the checkpoint's own.

    Raises:
        ConfigError: There is no profile of that name.
    """
    if asked is None or asked == checkpoint.profile.name:
        return checkpoint.profile
    if asked not in profile_names():
        raise ConfigError(
            f"profile {asked!r} is unknown; choose one of: {', '.join(profile_names())}"
        )
    return profile_for(asked, checkpoint.architecture.image_px)


@functools.lru_cache(maxsize=2)
def _checked(
    name: str,
    place: Place,
    _state: tuple[object, ...],
    stated: Direction | None,
    _cards: tuple[DetectorCard, ...],
) -> Checkpoint:
    files, expected = place.files, place.expected
    raw = read_weights(files.weights)
    header = read_header(raw, str(files.weights))
    # By hash too, so that a copied folder of a registered checkpoint is that checkpoint.
    digest = sha256_of(raw)
    card = expected or card_by_weights(digest)
    config = read_config(files, card)
    settings = folder_settings(read_toml_beside(files))
    if expected is not None:
        again = "put the right file back" if expected.repo is None else "delete it, get it again"
        check_hash(digest, expected.weights_sha256, str(files.weights), do=again)
    if settings.weights_sha256 is not None:
        where = f"{files.weights} (by the detector.toml beside it)"
        check_hash(digest, settings.weights_sha256, where, do="correct whichever is wrong")
    architecture = architecture_of(
        header,
        config,
        what=name,
        heads=settings.heads,
        layer_norm_eps=settings.layer_norm_eps,
        is_pinned=card is not None and card.config_sha256 is not None,
    )
    if card is not None:
        check_card(architecture, card, name)
    direction = agreed_direction(name, stated, card, settings)
    base_id = (
        card.detector_id
        if card
        else place.known_as or f"{folder_label(files)}@sha256:{digest[:12]}"
    )
    return Checkpoint(
        name=name,
        # The direction decides every score, so scores of the other one must not count as these.
        detector_id=base_id if direction == "fake" else f"{base_id}+positive=real",
        weights_sha256=digest,
        raw_weights=raw,
        architecture=architecture,
        positive=direction,
        profile=profile_for(profile_of(settings, card), architecture.image_px),
        card=card,
        # Each was found to begin the file's own hash.
        is_pinned=digest in {card.weights_sha256 if card else None, settings.weights_sha256},
    )


def folder_label(files: CheckpointFiles) -> str:
    """Return the name of the folder that the weights lie in, as part of an id."""
    # "@" separates name and revision wherever ids are taken apart.
    return files.weights.parent.absolute().name.replace("@", "_") or "folder"
