"""Whether a checkpoint is what it should be, and gives the scores that are known of it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.special import expit

from ....data.errors import InputError, UnreadableImage
from ....data.score_key import UNVERIFIED
from ....data.toml_file import read_toml
from ..backends.make import reference_of
from ..inputs.preprocess import preprocess
from ..load import load_on
from ..selection.consistency import require_consistent
from ..weights.architecture import Architecture
from ..weights.checkpoint import Checkpoint, chosen_profile
from ..weights.python_detector import PythonArchitecture
from ..weights.registry import Golden

if TYPE_CHECKING:
    from ..detector import Detector

# Published scores have four digits.
TOLERANCE_PROB: Final = 1e-3
GOLDEN: Final = "golden.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One picture: the score that is known and the one seen, or why there is none."""

    name: str
    expected: float
    seen: float | None
    problem: str | None = None

    @property
    def matches(self) -> bool:
        """Whether the two are within `TOLERANCE_PROB`."""
        return self.seen is not None and abs(self.seen - self.expected) <= TOLERANCE_PROB


def facts_of(checkpoint: Checkpoint) -> dict[str, str]:
    """What was checked in finding a checkpoint, a line each."""
    is_file = bool(checkpoint.raw_weights)
    return {
        "detector": checkpoint.detector_id,
        "weights": (
            f"sha256 {checkpoint.weights_sha256}, {len(checkpoint.raw_weights):,} bytes"
            if is_file
            else checkpoint.weights_sha256
        ),
        "origin": origin_of(checkpoint),
        "network": checkpoint.architecture.describe(),
        "direction": f"a larger logit means {checkpoint.positive}",
        "profile": checkpoint.profile.name,
    }


def facts_of_loading(checkpoint: Checkpoint) -> dict[str, str]:
    """Return what only loading tells of a network that its library builds, or of an object.

    The tensors of the built-in layouts are checked by name and shape before.

    Raises:
        ModelError: The weights are not the network's, or it gives no logit and embedding.
        GateRefused: The object's scores depend on the batch.
    """
    if isinstance(checkpoint.architecture, Architecture):
        return {}
    own = chosen_profile(None, checkpoint)
    detector = load_on(checkpoint, own, reference_of(checkpoint.architecture), "fp32", device="cpu")
    if isinstance(checkpoint.architecture, PythonArchitecture):
        require_consistent(detector)
    return {"loaded": f"{detector.backend}: embeddings of {detector.embedding_dim} numbers"}


def origin_of(checkpoint: Checkpoint) -> str:
    """Return who says that these are the weights, and whether they are pinned or unverified."""
    card = checkpoint.card
    if card is not None and checkpoint.is_pinned:
        return f"registered as {card.name}; the hash is the pinned one"
    if card is not None:
        n_digits = len(card.weights_sha256)
        return (
            f"registered as {card.name}; unverified: of its hash {n_digits} of 64 digits are known"
        )
    if checkpoint.is_pinned:
        return "not registered; the hash is the one that its card pins"
    if checkpoint.weights_sha256.startswith(UNVERIFIED):
        return "unverified: code without weights, known by the version on its card alone"
    return (
        "unverified: not registered, and nobody vouches for these weights; weights_sha256 on its"
        " card pins them"
    )


def known_scores(folder: Path, checkpoint: Checkpoint) -> tuple[Golden, ...]:
    """The pictures of a folder whose scores are known.

    By a `golden.toml` in it, with a line `"name.png" = 0.9988` for each, else by the registry.

    Raises:
        InputError: There is no such folder, its `golden.toml` cannot be read, or neither
            tells of any score.
    """
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}; name one that holds the golden pictures")
    stated = folder / GOLDEN
    if stated.exists():
        try:
            scores = read_toml(stated)
            return tuple(
                Golden(name=name, image_sha256=None, prob_fake=float(prob))
                for name, prob in scores.items()
            )
        except (OSError, ValueError, TypeError) as error:
            raise InputError(
                f'{stated} cannot be read ({error}); expected lines such as "name.png" = 0.9988'
            ) from error
    if checkpoint.card is None or not checkpoint.card.golden:
        raise InputError(
            f"no scores are known for {checkpoint.name}; put a {GOLDEN} into {folder}, with a line"
            ' such as "name.png" = 0.9988 for each picture'
        )
    return checkpoint.card.golden


def compare(detector: Detector, golden: tuple[Golden, ...], folder: Path) -> list[Compared]:
    """Score each picture and hold it against what is known; one answer for each."""
    return [_compared(detector, one, folder / one.name) for one in golden]


def _compared(detector: Detector, golden: Golden, file: Path) -> Compared:
    def told(seen: float | None, problem: str | None = None) -> Compared:
        return Compared(name=golden.name, expected=golden.prob_fake, seen=seen, problem=problem)

    try:
        raw = file.read_bytes()
        if golden.image_sha256 not in {None, hashlib.sha256(raw).hexdigest()}:
            return told(None, "another picture: its sha256 is not the known one")
        logits, _ = detector.forward(preprocess(raw, detector.profile)[None])
    except (OSError, UnreadableImage) as error:
        return told(None, str(error))
    prob = float(expit(logits[0].astype(np.float64)))
    return told(prob) if np.isfinite(prob) else told(None, "the logit is not a number")
