"""What a detector's scores are known by: the one place where a score key is put together."""

from __future__ import annotations

from dataclasses import dataclass

from ...data.score_key import ScoreKey
from .inputs.profiles import Profile
from .weights.checkpoint import Checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A score key, and the profile that it describes.

    Attributes:
        key: Detector, weights, profile and precision, as the tables have them.
        profile: How pictures must be prepared.
        is_pinned: Whether all 64 digits of the weights' hash were stated beforehand.
    """

    key: ScoreKey
    profile: Profile
    is_pinned: bool

    @property
    def detector_id(self) -> str:
        """Name and revision."""
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
    """Return what scores of a checkpoint under a profile and a precision are known by.

    Args:
        checkpoint: Checked already.
        profile: How pictures are prepared.
        precision: As in `scores.precision`.
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
