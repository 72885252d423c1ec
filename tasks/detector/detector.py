"""Loaded detector: pixels in, logits and embeddings out, with the identity of its scores."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...data.score_key import ScoreKey
from .backends.protocol import Backend, Images
from .identity import Identity
from .inputs.profiles import Profile
from .weights.checkpoint import Network
from .weights.registry import Direction

if TYPE_CHECKING:
    import torch


class Detector:
    """Network or Python object with one logit, run by one backend on one device.

    A larger logit always means an AI-generated image, whatever the checkpoint's own sign. Many
    threads may call `forward` at once.

    Attributes:
        identity: Score key and profile of the detector's scores.
        architecture: Architecture of the network.
        runner: Backend that runs the network.
        batch_images: Number of images per pass; halved when memory runs out.
        why: Reason for this backend and precision, in a sentence.
    """

    def __init__(
        self,
        runner: Backend,
        *,
        identity: Identity,
        architecture: Network,
        build_module: Callable[[], torch.nn.Module],
        positive: Direction = "fake",
        why: str = "as requested",
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
        """Detector's name and revision, as in `scores.detector`."""
        return self.identity.detector_id

    @property
    def weights_sha256(self) -> str:
        """Hash of the weights file."""
        return self.identity.weights_sha256

    @property
    def profile(self) -> Profile:
        """Preprocessing profile of its images."""
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
        """Score key of its scores."""
        return self.identity.key

    @property
    def positive(self) -> Direction:
        """Class that a larger logit of the checkpoint itself means."""
        return "fake" if self._sign > 0 else "real"

    @property
    def embedding_dim(self) -> int:
        """Dimension of an embedding: 384 for a ViT-S, 0 for a detector without embeddings."""
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
        """PyTorch module of the network: fp32, in eval mode, parameters frozen.

        Where the backend is not PyTorch, the first access builds it on the CPU.

        Raises:
            ConfigError: The detector is a Python object, which has no PyTorch network.
        """
        if self._module is None:
            self._module = getattr(self.runner, "module", None) or self._build_module()
        return self._module

    def forward(self, images: Images) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return logits and embeddings of preprocessed images, without gradients.

        Args:
            images: Pixels from `preprocess`, one array (N, 3, side, side) or N arrays
                (3, side, side); N may be 0.

        Returns:
            Logits (N,), positive for AI-generated, and embeddings (N, D), both float32. Values
            are unchecked: they may be NaN or infinite.

        Raises:
            ValueError: The pixels have another shape.
        """
        for image in images:
            if image.shape != self.input_shape:
                raise ValueError(f"pixels of shape {image.shape}; expected {self.input_shape}")
        if len(images) == 0:
            return np.empty(0, np.float32), np.empty((0, self.embedding_dim), np.float32)
        logits, embeddings = self.runner.run(images)
        return self._sign * logits, embeddings

    def network(self, pixels_nchw: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return logits and embeddings from PyTorch in fp32, in the caller's gradient mode.

        Args:
            pixels_nchw: Preprocessed images (N, 3, side, side) on the device of `module`.

        Returns:
            Logits (N,) and embeddings (N, D), float32 tensors with gradients to the pixels.

        Raises:
            ConfigError: The detector is a Python object, which has no PyTorch network.
        """
        logits, embeddings = self.module(pixels_nchw)
        return float(self._sign) * logits.float(), embeddings.float()
