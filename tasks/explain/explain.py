"""Explanation of one image's score by attention.

Two maps over the scored square. Neither shows a cause: rollout shows where information could
flow, gradient-weighted attention where it flowed and raised the score.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from ...data.images.decode import decode_rgb
from ...data.images.inspect_image import DEFAULT_LIMITS, ImageLimits
from ..detector.inputs.preprocess import centre_square, normalise, square_in_image
from ..detector.inputs.profiles import Profile
from ..detector.weights.checkpoint import Checkpoint
from .attention import AttendingNetwork
from .attribution import Map, gradient_weighted, patch_map, rollout

CAVEAT = (
    "The maps show where the network attends, not why, and not which pixels are AI-generated."
    " Only this centre square was scored, not the rest of the image."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Score of one image, and two maps over the scored square.

    Attributes:
        detector_id: Detector of the score.
        logit: Logit of this pass, positive for AI-generated.
        towards: Class that the gradient-weighted map explains, `fake` or `real`, by the logit's
            sign.
        square_u8_hwc: Scored square, (S, S, 3).
        rollout: Attention rollout over patches, (P, P); the sum is below 1, since the class token
            has the rest.
        attribution: Gradient-weighted attention over patches, (P, P), non-negative.
        square_px: Left, top, right and bottom of the square in the decoded image.
    """

    detector_id: str
    logit: float
    towards: str
    square_u8_hwc: NDArray[np.uint8]
    rollout: Map
    attribution: Map
    square_px: tuple[float, float, float, float]

    @property
    def prob_fake(self) -> float:
        """Sigmoid of the logit."""
        return float(expit(self.logit))

    def top_patches(self, n: int = 5) -> list[dict[str, Any]]:
        """Return the `n` patches of largest attribution, with share and box in the image."""
        per_side = len(self.attribution)
        left, top, right, bottom = self.square_px
        wide, high = (right - left) / per_side, (bottom - top) / per_side
        total = float(self.attribution.sum()) or 1.0
        out = []
        for index in np.argsort(-self.attribution.ravel(), kind="stable")[:n]:
            row, column = divmod(int(index), per_side)
            x, y = left + column * wide, top + row * high
            out.append(
                {
                    "share": float(self.attribution[row, column]) / total,
                    "box_px": [round(x), round(y), round(x + wide), round(y + high)],
                }
            )
        return out

    def to_json(self) -> dict[str, Any]:
        """Return the explanation as plain values, for `--json`."""
        return {
            "detector": self.detector_id,
            "logit": self.logit,
            "prob_fake": self.prob_fake,
            "explains_towards": self.towards,
            "square_px": [round(edge) for edge in self.square_px],
            "top_patches": self.top_patches(),
            "caveat": CAVEAT,
        }


def explain(
    raw: bytes,
    checkpoint: Checkpoint,
    profile: Profile,
    *,
    limits: ImageLimits = DEFAULT_LIMITS,
    network: AttendingNetwork | None = None,
) -> Explanation:
    """Explain the score of one encoded image.

    Args:
        raw: Encoded bytes of the image.
        checkpoint: Checked checkpoint.
        profile: Preprocessing profile of the image.
        limits: Size and memory limits of decoding.
        network: Network of the checkpoint; None: it is built here.

    Raises:
        ConfigError: The network is no ViT of the built-in layouts.
        UnreadableImage: The image cannot be decoded within `limits`.
        UntrustedWeights: A weight is not a finite number.
    """
    picture = decode_rgb(raw, profile.decode, limits=limits)
    square = centre_square(picture, profile)
    attended = (network or AttendingNetwork(checkpoint)).attend(normalise(square, profile))
    # An image that scores as real needs the map of what raises "real".
    sign = 1.0 if attended.logit >= 0 else -1.0
    relevance = gradient_weighted(
        attended.attention_lhtt, np.float32(sign) * attended.gradient_lhtt
    )
    return Explanation(
        detector_id=checkpoint.detector_id,
        logit=attended.logit,
        towards="fake" if sign > 0 else "real",
        square_u8_hwc=square,
        rollout=patch_map(rollout(attended.attention_lhtt)),
        attribution=patch_map(relevance),
        square_px=square_in_image(picture.size, profile),
    )
