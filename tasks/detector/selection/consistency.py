"""Check that a detector with one backend only scores an image the same alone and in a batch."""

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
    """Return generated test images: coarse patches with noise, without normalisation.

    Args:
        shape: Channels, height and width of the input.

    Returns:
        Pixels (N_DRAWN, 3, side, side), multiples of 1/255 in [0, 1]; the same at every call.
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
    """Measure the drift of a detector's logits in a batch from those of each image alone.

    Args:
        detector: Loaded detector.
        images_per_second: Speed to record with the drift.
    """
    pixels = drawn_squares(detector.input_shape)
    alone = np.concatenate([detector.forward(image[None])[0] for image in pixels])
    together, _ = detector.forward(pixels)
    return Measured(
        backend=detector.backend,
        precision=detector.precision,
        images_per_second=images_per_second,
        drift=drift_between(alone, together),
        pictures=f"{N_DRAWN} generated test images, in a batch against alone",
        measured_at=now(),
    )


def require_consistent(detector: Detector, *, force: bool = False) -> Detector:
    """Return the detector after the check that its scores do not depend on the batch.

    Args:
        detector: Detector that runs its own code.
        force: Whether to accept a failed check; `detector.why` then names it.

    Raises:
        GateRefused: An image's scores alone and in a batch differ by more than the limit.
    """
    largest = measure_alone(detector).drift.max
    if largest > EXACT_LIMIT_LOGIT and not force:
        raise GateRefused(
            f"{detector.detector_id} changes logits by {largest:.3g} between an image alone and the"
            f" same image in a batch; allowed are {EXACT_LIMIT_LOGIT:g}: a score may not depend on"
            " the images beside it. Correct the detector, or use --force-drift"
        )
    over = f", over the limit of {EXACT_LIMIT_LOGIT:g}: forced"
    detector.why = (
        f"its own code; logits differ by at most {largest:.1g} between alone and in a batch"
        f"{over if largest > EXACT_LIMIT_LOGIT else ''}"
    )
    return detector
