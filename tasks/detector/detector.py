"""A loaded detector: pixels in, logits and embeddings out, and the names of what made them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...data.score_key import ScoreKey
from .backends.protocol import Backend
from .identity import Identity
from .inputs.profiles import Profile
from .weights.checkpoint import Network
from .weights.registry import Direction

if TYPE_CHECKING:
    import torch


class Detector:
    """A network or a Python object with one logit, run by one backend on one device.

    A larger logit always means a machine-made picture, whatever the checkpoint's own sign.
    `forward` may be called from many threads at once on a CPU.

    Attributes:
        identity: What its scores are known by.
        architecture: Of the network.
        runner: The backend.
        batch_images: Images in one pass, to begin with; halves when memory runs out.
        why: Why this backend and precision, in a sentence.
    """

    def __init__(
        self,
        runner: Backend,
        *,
        identity: Identity,
        architecture: Network,
        build_module: Callable[[], torch.nn.Module],
        positive: Direction = "fake",
        why: str = "as asked",
    ) -> None:
        self.runner = runner
        self.identity = identity
        self.architecture = architecture
        self.batch_images = runner.batch_images
        self.why = why
        self._build_module = build_module
        self._module: torch.nn.Module | None = None
        self._width: int | None = None
        self._sign = np.float32(1.0 if positive == "fake" else -1.0)

    def __repr__(self) -> str:
        return f"<Detector {self.detector_id} {self.backend} {self.precision}>"

    @property
    def detector_id(self) -> str:
        """Name and revision, as in `scores.detector`."""
        return self.identity.detector_id

    @property
    def weights_sha256(self) -> str:
        """Hash of the weights file."""
        return self.identity.weights_sha256

    @property
    def profile(self) -> Profile:
        """How pictures must be prepared."""
        return self.identity.profile

    @property
    def backend(self) -> str:
        """Library and kind of device: `openvino-cpu`, `torch-cuda` and so on."""
        return self.runner.name

    @property
    def precision(self) -> str:
        """`fp32`, `bf16`, `fp16`, or `int8@` and digits of the quantised weights' hash."""
        return self.identity.precision

    @property
    def key(self) -> ScoreKey:
        """What its scores are known by."""
        return self.identity.key

    @property
    def positive(self) -> Direction:
        """What a larger logit of the checkpoint itself means."""
        return "fake" if self._sign > 0 else "real"

    @property
    def embedding_dim(self) -> int:
        """Numbers in an embedding: 384 for a ViT-S, 0 for a detector without embeddings."""
        if self.architecture.width is not None:
            return self.architecture.width
        if self._width is None:
            _, embeddings = self.runner.run(np.zeros((1, *self.input_shape), np.float32))
            self._width = embeddings.shape[1]
        return self._width

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of one input."""
        return 3, self.architecture.image_px, self.architecture.image_px

    @property
    def module(self) -> torch.nn.Module:
        """The network as a PyTorch module in fp32, in eval mode, parameters frozen.

        Where the backend is not PyTorch it is built at the first call, on the CPU.
        """
        if self._module is None:
            self._module = getattr(self.runner, "module", None) or self._build_module()
        return self._module

    def forward(
        self, pixels_f32_nchw: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Logits and embeddings of prepared pictures, without gradients.

        Args:
            pixels_f32_nchw: As `preprocess` gives them, shape (N, 3, side, side); N may be 0.

        Returns:
            Logits (N,), positive towards machine-made, and embeddings (N, D), both float32 and
            as the network gave them: they may be NaN or infinite.

        Raises:
            ValueError: The shape is another.
        """
        if tuple(pixels_f32_nchw.shape[1:]) != self.input_shape:
            raise ValueError(
                f"pixels of shape {tuple(pixels_f32_nchw.shape)}; expected (N, "
                f"{', '.join(map(str, self.input_shape))})"
            )
        if len(pixels_f32_nchw) == 0:
            return np.empty(0, np.float32), np.empty((0, self.embedding_dim), np.float32)
        logits, embeddings = self.runner.run(pixels_f32_nchw)
        return self._sign * logits, embeddings

    def network(self, pixels_nchw: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The same pass by PyTorch in fp32, with whatever gradient mode the caller has.

        Args:
            pixels_nchw: On the device of `module`.

        Returns:
            Logits (N,) and embeddings (N, D), float32 tensors; gradients reach the pixels.
        """
        logits, embeddings = self.module(pixels_nchw)
        return float(self._sign) * logits.float(), embeddings.float()
