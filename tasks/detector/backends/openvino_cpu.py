"""OpenVINO backend on a CPU: one stream per core, one image per stream."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from ....data.machine import n_cores
from .openvino_graph import openvino_core
from .protocol import Embeddings, Images, Logits, stacked

if TYPE_CHECKING:
    import openvino

# Without this hint OpenVINO uses half formats where the CPU has them, which changes every score.
_ARITHMETIC: Final = {"fp32": "f32", "bf16": "bf16"}


class OpenVinoBackend:
    """`Backend` that runs a compiled OpenVINO graph.

    Args:
        model: Graph from `build_model`, or the bytes of a quantised graph and of its weights.
        precision: `fp32`, `bf16`, or `int8@...` for a quantised graph.
        n_streams: Number of images scored at once; default: one per core.
    """

    def __init__(
        self,
        model: openvino.Model | tuple[bytes, bytes],
        *,
        precision: str,
        n_streams: int | None = None,
    ) -> None:
        streams = n_streams or n_cores()
        settings = {
            "INFERENCE_PRECISION_HINT": _ARITHMETIC.get(precision, "f32"),
            "NUM_STREAMS": streams,
            "INFERENCE_NUM_THREADS": streams,
            # Pinned threads of two processes can share one core and leave another idle.
            "ENABLE_CPU_PINNING": False,
        }
        core = openvino_core()
        if isinstance(model, tuple):
            graph, weights = model
            # The bytes that were hashed are the ones that run.
            model = core.read_model(graph, weights)
        self._compiled: Any = core.compile_model(model, "CPU", settings)
        self.name = "openvino-cpu"
        self.precision = precision
        self.device = "cpu"
        self.batch_images = 1
        self.n_lanes = 1
        self._mine = threading.local()

    def run(self, images: Images) -> tuple[Logits, Embeddings]:
        """Return the network's own logits (N,) and embeddings (N, D) of N >= 1 inputs."""
        request = getattr(self._mine, "request", None)
        if request is None:
            request = self._mine.request = self._compiled.create_infer_request()
        # The outputs are the request's memory, which its next pass overwrites.
        outputs = request.infer([stacked(images)], share_inputs=True, share_outputs=True)
        return outputs["logits"].copy(), outputs["embeddings"].copy()

    @contextlib.contextmanager
    def streams(self, n_streams: int) -> Iterator[Callable[[], None]]:
        """Yield a call without effect: each stream has one thread already."""
        yield lambda: None

    def free(self) -> None:
        """Keep all memory: a stream holds the memory of one image only."""
