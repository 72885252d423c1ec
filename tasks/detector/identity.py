"""Identity of a detector's scores; the only place that builds a score key."""

from __future__ import annotations

from dataclasses import dataclass

from ...data.score_key import ScoreKey
from .inputs.profiles import Profile
from .weights.checkpoint import Checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Score key with the profile that it names.

    Attributes:
        key: Detector, weights, profile and precision, as in the tables.
        profile: Preprocessing profile of the images.
        is_pinned: Whether all 64 digits of the weights' hash were stated before the file was read.
    """

    key: ScoreKey
    profile: Profile
    is_pinned: bool

    @property
    def detector_id(self) -> str:
        """Detector's name and revision."""
        return self.key.detector

    @property
    def weights_sha256(self) -> str:
        """Hash of the weights file."""
        return self.key.weights_sha256

    @property
    def precision(self) -> str:
        """`fp32`, `bf16`, `fp16`, or `int8@` and digits of the quantised weights' hash."""
        return self.key.precision


def identity_of(checkpoint: Checkpoint, profile: Profile, precision: str) -> Identity:
    """Return the identity of a checkpoint's scores under a profile and a precision.

    Args:
        checkpoint: Checked checkpoint.
        profile: Preprocessing profile of the images.
        precision: Precision as in `scores.precision`.
    """
    return Identity(
        key=ScoreKey(
            detector=checkpoint.detector_id,
            weights_sha256=checkpoint.weights_sha256,
            profile=profile.describe(),
            precision=precision,
        ),
        profile=profile,
        is_pinned=checkpoint.is_pinned,
    )
