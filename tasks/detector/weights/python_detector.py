"""Detectors that are Python objects, added by an installed package or by a caller.

An object has a `card` and `score(rgb_u8_nhwc) -> logits (N,)`; `embed` is optional. Its identity
is the hash of the files that its card names; without files it is called unverified.
"""

from __future__ import annotations

import functools
import hashlib
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ....data import plugins
from ....data.errors import ConfigError, ModelError, UntrustedWeights, brief
from ....data.file_hashes import file_sha256
from .detector_card import Card
from .registry import registered_names
from .safetensors_file import check_hash

GROUP: Final = "assay.detectors"

_offered: dict[str, PythonDetector] = {}
_offering: Final = threading.Lock()


@runtime_checkable
class PythonDetector(Protocol):
    """Detector in Python.

    An optional method `embed(rgb_u8_nhwc)` returns one vector per image, (N, D); without it,
    scores have no embedding. Only one thread at a time calls the object.

    Attributes:
        card: Card with its name, input and weights.
    """

    card: Card

    def score(self, rgb_u8_nhwc: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the logits (N,), positive for AI-generated, of squares (N, side, side, 3)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonArchitecture:
    """Architecture of a detector that is a Python object."""

    scorer: PythonDetector

    @property
    def image_px(self) -> int:
        """Side of the square input in pixels."""
        return self.scorer.card.input.size_px

    @property
    def width(self) -> int | None:
        """Dimension of an embedding: 0 without `embed`, else None, since only a pass shows it."""
        return None if hasattr(self.scorer, "embed") else 0

    def describe(self) -> str:
        """Return a description of the object in one line."""
        kind = type(self.scorer)
        embedding = "with embeddings" if hasattr(self.scorer, "embed") else "without embeddings"
        return f"{kind.__module__}.{kind.__qualname__}: input {self.image_px} px, {embedding}"


def offer_detector(scorer: PythonDetector) -> str:
    """Register an object in this process under the name on its card, and return the name.

    An object registered under the same name before is replaced.

    Raises:
        ConfigError: The object is no detector, or assay or a package has a detector of its name.
    """
    checked = _as_detector(scorer, f"the object {type(scorer).__qualname__}")
    name = checked.card.name
    if name in registered_names() or name in plugins.entries(GROUP):
        raise ConfigError(f"the name {name!r} is taken by another detector; change it on the card")
    with _offering:
        _offered[name] = checked
    return name


def added_names() -> tuple[str, ...]:
    """Return the names that installed packages and callers add, packages first."""
    return (*plugins.entries(GROUP), *_offered)


def added_by(name: str) -> str:
    """Return the package that adds a name, or `this process`, for display."""
    entry = plugins.entries(GROUP).get(name)
    return "this process" if entry is None else plugins.package_of(entry)


def added(name: str) -> PythonDetector | Path | None:
    """Return the detector or folder that a package or a caller adds; None for other names.

    A package adds an object, a class or function that returns one, or the path of a folder with
    weights and a card.

    Raises:
        ConfigError: The package's entry cannot be imported, is no detector, or has a card with
            another name.
    """
    if name not in plugins.entries(GROUP):
        return _offered.get(name)
    if name in registered_names():
        raise ConfigError(
            f"{added_by(name)} adds a detector {name!r}, which is a name of assay's own; uninstall"
            " the package, or ask its authors for another name"
        )
    what = f"{name!r} of {added_by(name)}"
    entry = _made(name, what)
    if isinstance(entry, str | Path):
        return Path(entry)
    scorer = _as_detector(entry, what)
    if scorer.card.name != name:
        raise ConfigError(f"{what} has a card of {scorer.card.name!r}; the two names must be equal")
    return scorer


@functools.cache
def _made(name: str, what: str) -> object:
    """Return the object of an entry, made once per process."""
    entry: Any = plugins.load(GROUP, name)
    is_object = hasattr(entry, "score") and not isinstance(entry, type)
    if is_object or not callable(entry):
        return entry
    try:
        return entry()
    except Exception as error:  # third-party code may raise any error
        raise ConfigError(
            f"{what} cannot be made: {type(error).__name__}: {brief(error)}; update the package"
            " or uninstall it"
        ) from error


def _as_detector(candidate: object, what: str) -> PythonDetector:
    if not isinstance(candidate, PythonDetector) or not callable(candidate.score):
        raise ConfigError(
            f"{what} is no detector; it must have a card and score(rgb_u8_nhwc) -> logits"
        )
    if not isinstance(candidate.card, Card):
        raise ConfigError(
            f"{what} has a card of type {type(candidate.card).__name__}; expected"
            " assay.tasks.detector.weights.detector_card.Card"
        )
    return candidate


def weights_hash(card: Card, what: str) -> str:
    """Return the hash of a card's files, or of the card itself where it names none.

    One file gives its own hash; several give the hash of their hashes and names, in the card's
    order.

    Args:
        card: Card of the detector.
        what: Name of the detector in messages.

    Raises:
        ModelError: A file cannot be read.
        UntrustedWeights: The hash is not the card's, or the card states a hash without files.
    """
    if not card.weights:
        if card.weights_sha256 is not None:
            raise UntrustedWeights(f"{what}: its card states a hash and names no file; correct it")
        return card.unverified_identity()
    hashes = [_file_hash(file) for file in card.weights]
    lines = "".join(
        f"{digest} {file.name}\n" for digest, file in zip(hashes, card.weights, strict=True)
    )
    digest = hashes[0] if len(hashes) == 1 else hashlib.sha256(lines.encode()).hexdigest()
    if card.weights_sha256 is not None:
        files = ", ".join(map(str, card.weights))
        check_hash(digest, card.weights_sha256, files, do="put the right file back")
    return digest


def _file_hash(file: Path) -> str:
    try:
        return file_sha256(file)
    except OSError as error:
        raise ModelError(f"cannot read {file}: {error.strerror or error}") from error
