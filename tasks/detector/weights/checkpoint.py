"""Checkpoints, found and checked before anything is loaded.

Order of the checks: the name, the place of the files, their format, their hash, the agreement of
tensors and config, the class that a larger logit means. No model library is imported.
"""

from __future__ import annotations

import functools
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ....data.errors import ConfigError
from ....data.score_key import UNVERIFIED
from ..inputs.profiles import Profile, profile_for, profile_names
from . import registry
from .architecture import Architecture, architecture_of, check_card
from .detector_card import FolderCard, read_card
from .folder_settings import (
    agreed_direction,
    direction_of,
    folder_settings,
    profile_of,
    read_config,
    read_toml_beside,
)
from .hub import CheckpointFiles
from .library_classifier import LibraryClassifier, library_classifier
from .locate import Place, locate
from .python_detector import PythonArchitecture, PythonDetector, weights_hash
from .registry import DetectorCard, Direction, card_by_weights
from .safetensors_file import (
    FLOATS_AND_COUNTS,
    check_hash,
    read_header,
    read_weights,
    sha256_of,
)

Network = Architecture | LibraryClassifier | PythonArchitecture

_CHECKING: Final = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Checkpoint that passed every check and is not loaded yet.

    Attributes:
        name: Name that it was requested by.
        detector_id: Detector's name and revision, as in `scores.detector`.
        weights_sha256: Hash of the weights file; for a Python object without files, the hash of
            its card.
        raw_weights: Bytes of the weights file; empty for a Python object.
        architecture: Architecture of the network.
        positive: Class that a larger logit of the network itself means.
        profile: Preprocessing profile that it was trained with.
        card: Card in the registry; None where it is not registered.
        is_pinned: Whether all 64 digits of the hash were stated before the file was read.
    """

    name: str
    detector_id: str
    weights_sha256: str
    raw_weights: bytes
    architecture: Network
    positive: Direction
    profile: Profile
    card: DetectorCard | None
    is_pinned: bool

    def require_vit(self) -> Architecture:
        """Return the architecture of a ViT in a built-in layout.

        Raises:
            ConfigError: The network is another one.
        """
        if isinstance(self.architecture, Architecture):
            return self.architecture
        raise ConfigError(
            f"{self.name} is no ViT of the built-in layouts ({self.architecture.describe()}), which"
            " this needs; name one, such as mini"
        )


def find_checkpoint(
    name: str, *, positive: str | None = None, cache_dir: str | Path | None = None
) -> Checkpoint:
    """Find and check a checkpoint without loading it.

    The last two stay in memory: while no file changes, each is read and hashed once.

    Args:
        name: Registered name, name that a package adds, `org/name@<40 hex digits>`, or a folder.
        positive: Class that a larger logit means, for checkpoints where nothing else states it.
        cache_dir: Folder of the hub's cache; default: the one of the hub's environment variables.

    Raises:
        ConfigError: The name or `positive` is wrong.
        ModelError: The files cannot be obtained or cannot be trusted.
    """
    stated = direction_of(positive, "positive")
    place = locate(name, cache_dir)
    if not isinstance(place, Place):
        return _python_checkpoint(name, place, stated)
    # One thread reads the files; the others wait for the cached result.
    with _CHECKING:
        return _checked(name, place, place.state(), stated, registry.CARDS)


def chosen_profile(name: str | None, checkpoint: Checkpoint) -> Profile:
    """Return the requested profile for the checkpoint's input, or the checkpoint's own for None.

    Args:
        name: Name of the profile; None for the checkpoint's own.
        checkpoint: Checked checkpoint.

    Raises:
        ConfigError: No profile has that name, or the detector is a Python object, which has a
            profile of its own.
    """
    if name is None or name == checkpoint.profile.name:
        return checkpoint.profile
    if isinstance(checkpoint.architecture, PythonArchitecture):
        raise ConfigError(
            f"profile {name!r} is not for {checkpoint.name}, whose card states its own"
            " profile; leave it out"
        )
    if name not in profile_names():
        raise ConfigError(
            f"profile {name!r} is unknown; choose one of: {', '.join(profile_names())}"
        )
    return profile_for(name, checkpoint.architecture.image_px)


@functools.lru_cache(maxsize=2)
def _checked(
    name: str,
    place: Place,
    _state: tuple[object, ...],
    stated: Direction | None,
    _cards: tuple[DetectorCard, ...],
) -> Checkpoint:
    files, expected = place.files, place.expected
    beside = read_toml_beside(files)
    if expected is None and "library" in beside:
        return _library_checkpoint(name, place, beside, stated)
    raw = read_weights(files.weights)
    header = read_header(raw, str(files.weights))
    # A copied folder of a registered checkpoint is recognised by its hash.
    digest = sha256_of(raw)
    card = expected or card_by_weights(digest)
    config = read_config(files, card)
    settings = folder_settings(beside)
    if expected is not None:
        again = "put the right file back" if expected.repo is None else "delete it, get it again"
        check_hash(digest, expected.weights_sha256, str(files.weights), do=again)
    _check_promise(digest, settings.weights_sha256, files)
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
        detector_id=_directed(base_id, direction),
        weights_sha256=digest,
        raw_weights=raw,
        architecture=architecture,
        positive=direction,
        profile=profile_for(profile_of(settings, card), architecture.image_px),
        card=card,
        # Both are prefixes of the file's hash by now; only a full one pins it.
        is_pinned=digest in {card.weights_sha256 if card else None, settings.weights_sha256},
    )


def _directed(base_id: str, direction: Direction) -> str:
    """Return a detector's id with the class that a larger logit means.

    The direction decides every score, so each direction has its own id.
    """
    return base_id if direction == "fake" else f"{base_id}+positive=real"


def _library_checkpoint(
    name: str, place: Place, beside: dict[str, object], stated: Direction | None
) -> Checkpoint:
    """Return the checkpoint of a timm or transformers classifier, from the card beside it."""
    files = place.files
    card = read_card(FolderCard, beside, str(files.settings))
    if place.added_as not in {None, card.name}:
        raise ConfigError(
            f"a package adds {place.added_as!r}, and its folder has a card of {card.name!r}; the"
            " two names must be equal"
        )
    config_raw = None if files.config is None else read_weights(files.config)
    architecture = library_classifier(card, config_raw, name)
    raw = read_weights(files.weights)
    read_header(raw, str(files.weights), item_bytes=FLOATS_AND_COUNTS)
    digest = sha256_of(raw)
    _check_promise(digest, card.weights_sha256, files)
    # With two classes the logit points to the class that the card's fake_index names.
    direction = card.output.positive or "fake"
    if stated not in {None, direction}:
        raise ConfigError(
            f"positive = {stated!r} for {name}, whose card says {direction!r}; leave it out"
        )
    base_id = f"{card.name}@{architecture.revision(digest)}"
    return Checkpoint(
        name=name,
        detector_id=_directed(base_id, direction),
        weights_sha256=digest,
        raw_weights=raw,
        architecture=architecture,
        positive=direction,
        profile=card.input.profile(card.input.mean, card.input.std),
        card=None,
        is_pinned=card.weights_sha256 is not None,
    )


def _python_checkpoint(name: str, scorer: PythonDetector, stated: Direction | None) -> Checkpoint:
    """Return the checkpoint of a Python object, from its card and the hash of its files."""
    card = scorer.card
    if stated == "real":
        raise ConfigError(f"positive = 'real' for {name}, whose logits point to fake; leave it out")
    digest = weights_hash(card, name)
    return Checkpoint(
        name=name,
        detector_id=f"{card.name}@{card.version}",
        weights_sha256=digest,
        raw_weights=b"",
        architecture=PythonArchitecture(scorer=scorer),
        positive="fake",
        # The object gets 8-bit values: its backend undoes the division by 255.
        profile=card.input.profile((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
        card=None,
        is_pinned=card.weights_sha256 is not None and not digest.startswith(UNVERIFIED),
    )


def _check_promise(digest: str, promised: str | None, files: CheckpointFiles) -> None:
    if promised is not None:
        where = f"{files.weights} (by the detector.toml beside it)"
        check_hash(digest, promised, where, do="correct whichever is wrong")


def folder_label(files: CheckpointFiles) -> str:
    """Return the name of the folder of the weights, as part of a detector's id."""
    # "@" separates name and revision in an id.
    return files.weights.parent.absolute().name.replace("@", "_") or "folder"
