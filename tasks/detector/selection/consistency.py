"""Whether a detector that nothing else can run scores an image the same alone and in a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ....data.errors import GateRefused
from .drift import EXACT_LIMIT_LOGIT, drift_between
from .measurements import Measured, now

if TYPE_CHECKING:
    from ..detector import Detector

N_DRAWN = 8


def drawn_squares(shape: tuple[int, int, int]) -> NDArray[np.float32]:
    """Return images of coarse patches under noise, as a profile without normalisation gives them.

    Shape (N_DRAWN, 3, side, side), whole 255ths in [0, 1]; always the same.
    """
    rng = np.random.default_rng(0)
    channels, side, _ = shape
    cell = -(-side // 8)
    coarse = rng.uniform(0, 1, (N_DRAWN, channels, 8, 8))
    smooth = coarse.repeat(cell, axis=2).repeat(cell, axis=3)[:, :, :side, :side]
    strength = np.linspace(0, 0.2, N_DRAWN)[:, None, None, None]
    noisy = smooth + strength * rng.standard_normal((N_DRAWN, channels, side, side))
    squares: NDArray[np.float32] = (np.rint(noisy.clip(0, 1) * 255) / 255).astype(np.float32)
    return squares


def measure_alone(detector: Detector, images_per_second: float = 0.0) -> Measured:
    """Return how far a detector's logits in a batch are from those of each image alone."""
    pixels = drawn_squares(detector.input_shape)
    alone = np.concatenate([detector.forward(one[None])[0] for one in pixels])
    together, _ = detector.forward(pixels)
    return Measured(
        backend=detector.backend,
        precision=detector.precision,
        images_per_second=images_per_second,
        drift=drift_between(alone, together),
        pictures=f"{N_DRAWN} drawn pictures, in a batch against alone",
        measured_at=now(),
    )


def require_consistent(detector: Detector, *, force: bool = False) -> Detector:
    """Return the detector, once its scores are known not to depend on the batch.

    Args:
        detector: Run by its own code.
        force: Take it all the same, and say so.

    Raises:
        GateRefused: The same image scores otherwise in a batch than alone.
    """
    largest = measure_alone(detector).drift.max
    if largest > EXACT_LIMIT_LOGIT and not force:
        raise GateRefused(
            f"{detector.detector_id} moves logits by {largest:.3g} between an image alone and the"
            f" same image in a batch; allowed are {EXACT_LIMIT_LOGIT:g}: a score may not depend on"
            " the images beside it. Correct the detector, or use --force-drift"
        )
    over = f", over the limit of {EXACT_LIMIT_LOGIT:g}: forced"
    detector.why = (
        f"its own code; at most {largest:.1g} between an image alone and in a batch"
        f"{over if largest > EXACT_LIMIT_LOGIT else ''}"
    )
    return detector
