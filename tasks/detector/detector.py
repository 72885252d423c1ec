"""A loaded detector: pixels in, logits and embeddings out, and the names of what made them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from .cards import Direction
from .devices import backend_of, batch_images
from .layout import Architecture
from .network import logit_and_embedding
from .profiles import Profile

if TYPE_CHECKING:
    import torch

_AUTOCAST: Final = {"bf16": "bfloat16", "fp16": "float16"}


class Detector:
    """A ViT with one logit on one device.

    A larger logit always means a machine-made picture, whatever the checkpoint's own sign.
    `forward` may be called from many threads at once on a CPU.

    Attributes:
        detector_id: What `scores.detector` holds.
        weights_sha256: Of the weights file.
        profile: How pictures must be prepared.
        architecture: Of the network.
        device: Where it runs.
        precision: `fp32`, `bf16` or `fp16`.
        module: The transformers or timm module, in eval mode, parameters frozen.
        batch_images: Images in one pass, to begin with; halves when memory runs out.
    """

    def __init__(
        self,
        module: torch.nn.Module,
        *,
        detector_id: str,
        weights_sha256: str,
        profile: Profile,
        architecture: Architecture,
        device: torch.device,
        precision: str,
        positive: Direction = "fake",
    ) -> None:
        self.module = module.to(device)
        self.detector_id = detector_id
        self.weights_sha256 = weights_sha256
        self.profile = profile
        self.architecture = architecture
        self.device = device
        self.precision = precision
        self.batch_images = batch_images(device)
        self._sign = 1.0 if positive == "fake" else -1.0

    def __repr__(self) -> str:
        return f"<Detector {self.detector_id} {self.backend} {self.precision}>"

    @property
    def backend(self) -> str:
        """Library and kind of device: `torch-cpu`, `torch-cuda` and so on."""
        return backend_of(self.device)

    @property
    def embedding_dim(self) -> int:
        """Numbers in an embedding: 384 for a ViT-S."""
        return self.architecture.width

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of one input."""
        return 3, self.architecture.image_px, self.architecture.image_px

    def forward(
        self, pixels_f32_nchw: torch.Tensor
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
        import torch

        if tuple(pixels_f32_nchw.shape[1:]) != self.input_shape:
            raise ValueError(
                f"pixels of shape {tuple(pixels_f32_nchw.shape)}; expected (N, "
                f"{', '.join(map(str, self.input_shape))})"
            )
        n_images = len(pixels_f32_nchw)
        if n_images == 0:
            return np.empty(0, np.float32), np.empty((0, self.embedding_dim), np.float32)
        pixels = pixels_f32_nchw
        if self.device.type == "xla":
            # A TPU compiles anew for every batch size; a full batch is always the same one.
            missing = -n_images % self.batch_images
            pixels = torch.cat([pixels, pixels.new_zeros(missing, *self.input_shape)])
        with torch.inference_mode():
            logits, embeddings = self.network(pixels.to(self.device, non_blocking=True))
            return logits[:n_images].cpu().numpy(), embeddings[:n_images].cpu().numpy()

    def network(self, pixels_nchw: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The same pass on the detector's device, with whatever gradient mode the caller has.

        Returns:
            Logits (N,) and embeddings (N, D), float32 tensors; gradients reach the pixels.
        """
        with self._number_format():
            logits, embeddings = logit_and_embedding(self.module, pixels_nchw)
        return self._sign * logits.float(), embeddings.float()

    @contextlib.contextmanager
    def _number_format(self) -> Iterator[None]:
        import torch

        if self.precision == "fp32":
            with _exact_fp32(self.device):
                yield
        else:
            dtype = getattr(torch, _AUTOCAST[self.precision])
            with torch.autocast(self.device.type, dtype=dtype):
                yield


@contextlib.contextmanager
def _exact_fp32(device: torch.device) -> Iterator[None]:
    """Keep NVIDIA GPUs from rounding factors to ten bits, as PyTorch lets convolutions do."""
    import torch

    if device.type != "cuda":
        yield
        return
    matmul, conv = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = matmul, conv
