"""Protocol of the backends that run the network, and their names.

`torch` in fp32 is the reference for the drift of every other backend and precision.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from ....data.errors import ConfigError

BackendName = Literal["torch", "torch-compile", "openvino", "python"]
# Backends that a user can choose; `python` runs a detector that is a Python object.
BACKENDS: Final[tuple[BackendName, ...]] = ("torch", "torch-compile", "openvino")
REFERENCE: Final[BackendName] = "torch"

Logits = NDArray[np.float32]
Embeddings = NDArray[np.float32]
# Pixels of N images: one array (N, 3, side, side), or N arrays (3, side, side).
Images = NDArray[np.float32] | Sequence[NDArray[np.float32]]

# Batches at once on an accelerator: one is copied to the upload buffer while another is computed.
BATCHES_PER_LANE: Final = 2


class Backend(Protocol):
    """Loaded network. Many threads may call `run` at once.

    Attributes:
        name: Library and kind of device, as in `scores.backend`: `openvino-cpu`, `torch-cuda`;
            `python` for a Python object.
        precision: Precision as in `scores.precision`: `fp32`, `bf16`, `fp16`, or `int8@` and the
            first digits of the quantised weights' hash.
        device: Kind of device: `cpu`, `cuda`, `mps`, `xpu` or `tpu`.
        batch_images: Initial number of images per pass.
        n_lanes: Number of devices, each with its own copy of the network; 1 on a CPU, whose
            threads share one.
    """

    name: str
    precision: str
    device: str
    batch_images: int
    n_lanes: int

    def run(self, images: Images) -> tuple[Logits, Embeddings]:
        """Return the network's own logits (N,), with its own sign, and embeddings (N, D)."""

    def streams(self, n_streams: int) -> AbstractContextManager[Callable[[], None]]:
        """Enter the time in which `n_streams` threads call `run`; yield each one's set-up call."""

    def free(self) -> None:
        """Release cached memory after a pass ran out of memory."""


def stacked(images: Images) -> NDArray[np.float32]:
    """Return the pixels as one array (N, 3, side, side); one image alone is not copied."""
    if isinstance(images, np.ndarray):
        return images
    return images[0][None] if len(images) == 1 else np.stack(images)


def check_backend(name: str) -> None:
    """Refuse a name that is neither `auto` nor a backend's.

    Raises:
        ConfigError: The name is unknown.
    """
    if name not in {"auto", *BACKENDS}:
        raise ConfigError(
            f"backend {name!r} is unknown; choose auto or one of {', '.join(BACKENDS)}"
        )
