"""What runs the network: one small protocol, and the names that choose between its kinds.

`torch` in fp32 is the reference that every other backend and precision is measured against.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from ....data.errors import ConfigError

BackendName = Literal["torch", "torch-compile", "openvino", "python"]
# Those that can be asked for; `python` is what runs a detector that is a Python object.
BACKENDS: Final[tuple[BackendName, ...]] = ("torch", "torch-compile", "openvino")
REFERENCE: Final[BackendName] = "torch"

Logits = NDArray[np.float32]
Embeddings = NDArray[np.float32]


class Backend(Protocol):
    """A network ready to run. On a CPU `run` may be called from many threads at once.

    Attributes:
        name: Library and kind of device, as in `scores.backend`: `openvino-cpu`, `torch-cuda`;
            `python` for a Python object.
        precision: As in `scores.precision`: `fp32`, `bf16`, `fp16`, or `int8@` and the first
            digits of the quantised weights' own hash.
        device: Kind of device: `cpu`, `cuda`, `mps`, `xpu` or `tpu`.
        batch_images: Images in one pass, to begin with.
    """

    name: str
    precision: str
    device: str
    batch_images: int

    def run(self, pixels_f32_nchw: NDArray[np.float32]) -> tuple[Logits, Embeddings]:
        """The network's own logits (N,), whatever their sign means, and embeddings (N, D)."""

    def streams(self, n_streams: int) -> AbstractContextManager[Callable[[], None]]:
        """For as long as so many threads call `run`; each of them first calls what this gives."""

    def free(self) -> None:
        """Give back what memory can be given back, after a pass ran out of it."""


def check_backend(name: str) -> None:
    """Refuse a name that is neither `auto` nor a backend's.

    Raises:
        ConfigError: It is neither.
    """
    if name not in {"auto", *BACKENDS}:
        raise ConfigError(
            f"backend {name!r} is unknown; choose auto or one of {', '.join(BACKENDS)}"
        )
