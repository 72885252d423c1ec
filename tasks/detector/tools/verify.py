"""Verification of a checkpoint: the facts of its checks, and its scores of known images."""

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
    """Comparison of one image: its known score and the measured one, or the reason of its lack."""

    name: str
    expected: float
    seen: float | None
    problem: str | None = None

    @property
    def matches(self) -> bool:
        """Whether the two scores differ by at most `TOLERANCE_PROB`."""
        return self.seen is not None and abs(self.seen - self.expected) <= TOLERANCE_PROB


def facts_of(checkpoint: Checkpoint) -> dict[str, str]:
    """Return the checked facts of a checkpoint, one line each."""
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
    """Load a library's network or a Python object and return the facts that only loading shows.

    Built-in layouts have none: their tensors are checked by name and shape without loading.

    Raises:
        ModelError: The weights do not fit the network, or its outputs are not one logit and one
            embedding per image.
        GateRefused: The Python object's scores depend on the batch.
    """
    if isinstance(checkpoint.architecture, Architecture):
        return {}
    own = chosen_profile(None, checkpoint)
    detector = load_on(checkpoint, own, reference_of(checkpoint.architecture), "fp32", device="cpu")
    if isinstance(checkpoint.architecture, PythonArchitecture):
        require_consistent(detector)
    return {"loaded": f"{detector.backend}: embeddings of {detector.embedding_dim} numbers"}


def origin_of(checkpoint: Checkpoint) -> str:
    """Return the origin of the weights, and whether they are pinned or unverified."""
    card = checkpoint.card
    if card is not None and checkpoint.is_pinned:
        return f"registered as {card.name}; the hash is the pinned one"
    if card is not None:
        n_digits = len(card.weights_sha256)
        return (
            f"registered as {card.name}; unverified: {n_digits} of 64 digits of its hash are known"
        )
    if checkpoint.is_pinned:
        return "not registered; the hash is the one that its card pins"
    if checkpoint.weights_sha256.startswith(UNVERIFIED):
        return "unverified: code without weights, identified only by the version on its card"
    return "unverified: not registered and not pinned; weights_sha256 on its card pins the weights"


def known_scores(folder: Path, checkpoint: Checkpoint) -> tuple[Golden, ...]:
    """Return the images of a folder with known scores.

    They come from a `golden.toml` in the folder, with a line `"name.png" = 0.9988` per image, or
    from the registry.

    Args:
        folder: Folder of the images.
        checkpoint: Checked checkpoint.

    Raises:
        InputError: The folder does not exist, its `golden.toml` cannot be read, or no score is
            known.
    """
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}; name one that holds the golden images")
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
            ' such as "name.png" = 0.9988 per image'
        )
    return checkpoint.card.golden


def compare(detector: Detector, golden: tuple[Golden, ...], folder: Path) -> list[Compared]:
    """Score each image and compare the score with the known one.

    Args:
        detector: Loaded detector.
        golden: Images with known scores.
        folder: Folder of the images.
    """
    return [_compared(detector, image, folder / image.name) for image in golden]


def _compared(detector: Detector, golden: Golden, file: Path) -> Compared:
    def compared(seen: float | None, problem: str | None = None) -> Compared:
        return Compared(name=golden.name, expected=golden.prob_fake, seen=seen, problem=problem)

    try:
        raw = file.read_bytes()
        if golden.image_sha256 not in {None, hashlib.sha256(raw).hexdigest()}:
            return compared(None, "another image: its sha256 is not the known one")
        logits, _ = detector.forward(preprocess(raw, detector.profile)[None])
    except (OSError, UnreadableImage) as error:
        return compared(None, str(error))
    prob = float(expit(logits[0].astype(np.float64)))
    return compared(prob) if np.isfinite(prob) else compared(None, "the logit is not a number")
