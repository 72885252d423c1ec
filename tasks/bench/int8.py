"""Int8 weights from a lake's images, and their drift on other images of it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from ...data.errors import UnreadableImage
from ...data.store.lake import Lake
from ..decide.policy import Policy
from ..detector.inputs.preprocess import preprocess
from ..detector.inputs.profiles import Profile
from ..detector.tools.quantise import quantise
from ..detector.weights.checkpoint import Checkpoint
from ..detector.weights.int8_store import Quantised
from .on_lake import Benched, bench_lake
from .sample import MAX_HELD_OUT, halves, sample


def quantise_on_lake(
    lake: Lake,
    checkpoint: Checkpoint,
    profile: Profile,
    *,
    n_images: int,
    policy: Policy,
    on_item: Callable[[int], None] | None = None,
) -> tuple[Quantised, Benched | None]:
    """Quantise a checkpoint on images of a lake, and measure drift on up to 200 others.

    Args:
        lake: Lake of the images.
        checkpoint: Checked checkpoint.
        profile: Preprocessing profile of the images.
        n_images: Largest number of images to quantise on.
        policy: Policy whose thresholds define decisions.
        on_item: Function that receives the number of images done since its last call.

    Returns:
        Quantised weights and their figures; None in place of the figures where the lake has no
        other images.

    Raises:
        ConfigError: NNCF is not installed, or `n_images` is out of range.
        InputError: There are too few images.
    """
    chosen, held_out = halves(sample(lake, 2 * (n_images + MAX_HELD_OUT)), n_images)

    def pixels() -> Iterator[NDArray[np.float32]]:
        for _, raw in lake.images(chosen):
            # Scoring records an image that cannot be decoded as a failed row.
            with contextlib.suppress(UnreadableImage):
                yield preprocess(raw, profile)
            if on_item is not None:
                on_item(1)

    made = quantise(checkpoint, profile, pixels(), image_ids=chosen)
    if held_out.is_empty():
        return made, None
    (figures,) = bench_lake(
        lake,
        checkpoint,
        profile,
        [("openvino", "int8")],
        policy=policy,
        images=held_out,
        on_item=on_item,
    )
    return made, figures
