"""PyTorch backend: the network run eagerly or compiled, on any device."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from queue import LifoQueue
from typing import TYPE_CHECKING, Final

from ....data.errors import ModelError
from .devices import batch_images
from .protocol import BATCHES_PER_LANE, Embeddings, Images, Logits, stacked
from .upload_buffer import UploadBuffer

if TYPE_CHECKING:
    import torch

_AUTOCAST: Final = {"bf16": "bfloat16", "fp16": "float16"}


class TorchBackend:
    """`Backend` that runs a PyTorch module in eval mode on one device.

    Args:
        module: Network from pixels (N, 3, side, side) to logits (N,) and embeddings (N, D).
        device: Device that the module is moved to.
        precision: `fp32`, `bf16` or `fp16`; half formats by autocast.
        compiled: Whether `torch.compile` compiles the module at its first pass.
    """

    def __init__(
        self, module: torch.nn.Module, *, device: torch.device, precision: str, compiled: bool
    ) -> None:
        self.module = module.to(device)
        self.torch_device = device
        self.device = "tpu" if device.type == "xla" else device.type
        self.name = f"torch-compile-{self.device}" if compiled else f"torch-{self.device}"
        self.precision = precision
        self.batch_images = batch_images(device)
        self.n_lanes = 1
        self._compiling = threading.Lock()
        # An accelerator computes one batch at a time; each core of a CPU computes its own.
        self._turn: contextlib.AbstractContextManager[object] = (
            contextlib.nullcontext() if self.device == "cpu" else threading.Lock()
        )
        self._buffers: LifoQueue[UploadBuffer] = LifoQueue()
        for _ in range(BATCHES_PER_LANE):
            self._buffers.put(UploadBuffer(is_pinned=device.type == "cuda"))
        self._compiled = compiled
        self._pass: Callable[..., tuple[torch.Tensor, torch.Tensor]] | None = None

    def run(self, images: Images) -> tuple[Logits, Embeddings]:
        """Return the network's own logits (N,) and embeddings (N, D) of N >= 1 inputs.

        Raises:
            ModelError: `torch.compile` cannot compile the network on this machine.
        """
        import torch

        n_images = len(images)
        with (
            self._on_host(images) as pixels,
            self._turn,
            torch.inference_mode(),
            number_format(self.torch_device, self.precision),
        ):
            # Not `or`: a compiled module has no truth value.
            forward = self._first_pass(pixels) if self._pass is None else self._pass
            logits, embeddings = forward(pixels.to(self.torch_device, non_blocking=True))
            return (
                logits[:n_images].float().cpu().numpy(),
                embeddings[:n_images].float().cpu().numpy(),
            )

    @contextlib.contextmanager
    def _on_host(self, images: Images) -> Iterator[torch.Tensor]:
        """Yield the pixels of a batch in host memory, which other batches leave alone meanwhile."""
        import torch

        missing = 0
        if self.device == "tpu" or self._compiled:
            # Both recompile for every batch size, so a short batch is padded to the full size.
            missing = -len(images) % self.batch_images
        if self.device == "cpu":
            pixels = torch.from_numpy(stacked(images))
            if missing:
                pixels = torch.cat([pixels, pixels.new_zeros(missing, *pixels.shape[1:])])
            yield pixels
            return
        buffer = self._buffers.get()
        try:
            yield buffer.filled(images, len(images) + missing)
        finally:
            self._buffers.put(buffer)

    @contextlib.contextmanager
    def streams(self, n_streams: int) -> Iterator[Callable[[], None]]:
        """Yield the set-up call of each scoring thread: on a CPU, one PyTorch thread per stream.

        Several streams of one thread score more images per second than one stream of several.
        """
        import torch

        before = torch.get_num_threads()

        def begin() -> None:
            if n_streams > 1 and self.device == "cpu":
                torch.set_num_threads(1)

        try:
            yield begin
        finally:
            # A thread keeps its own limit, but threads started later would inherit it.
            torch.set_num_threads(before)

    def free(self) -> None:
        """Clear the device's cache of freed memory, where the device has one."""
        import torch

        for kind in ("cuda", "xpu", "mps"):
            if self.device == kind:
                getattr(torch, kind).empty_cache()

    def _first_pass(self, pixels: torch.Tensor) -> Callable[..., tuple[torch.Tensor, torch.Tensor]]:
        """Return the function that runs the network; only one thread at a time compiles it."""
        import torch

        if not self._compiled:
            self._pass = self.module
            return self.module
        with self._compiling:
            if self._pass is None:
                compiled = torch.compile(self.module, dynamic=False)
                try:
                    compiled(pixels.to(self.torch_device))
                except Exception as error:
                    reason = " ".join(str(error).split())[:200]
                    raise ModelError(
                        f"torch.compile cannot compile the network on this machine ({reason});"
                        " on a CPU it needs a C++ compiler; install one or use --backend auto"
                    ) from error
                self._pass = compiled
        return self._pass


@contextlib.contextmanager
def number_format(device: torch.device, precision: str) -> Iterator[None]:
    """Run the block in a precision: exact float32, or a half format by autocast."""
    import torch

    if precision == "fp32":
        with _exact_fp32() if device.type == "cuda" else contextlib.nullcontext():
            yield
    else:
        with torch.autocast(device.type, dtype=getattr(torch, _AUTOCAST[precision])):
            yield


class _ExactFp32:
    """Switch of TF32, the 10-bit mantissa that PyTorch allows for convolutions on CUDA.

    It belongs to the process: the first of several lanes turns TF32 off, and the last restores it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._n_inside = 0
        self._before = (False, False)

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        """Run the block without TF32."""
        import torch

        matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
        with self._lock:
            if self._n_inside == 0:
                self._before = matmul.allow_tf32, cudnn.allow_tf32
                matmul.allow_tf32 = cudnn.allow_tf32 = False
            self._n_inside += 1
        try:
            yield
        finally:
            with self._lock:
                self._n_inside -= 1
                if self._n_inside == 0:
                    matmul.allow_tf32, cudnn.allow_tf32 = self._before


_exact_fp32: Final = _ExactFp32()
