"""The network in OpenVINO on a CPU: a stream for each core, one picture in each."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from ....data.machine import n_cores
from .openvino_graph import openvino_core
from .protocol import Embeddings, Logits

if TYPE_CHECKING:
    import openvino

# OpenVINO would take half formats by itself where a CPU has them, and move every score.
_ARITHMETIC: Final = {"fp32": "f32", "bf16": "bf16"}


class OpenVinoBackend:
    """A compiled graph; see `Backend`.

    Args:
        model: Graph of `openvino_graph`, or bytes of a quantised graph and of its weights.
        precision: `fp32`, `bf16`, or `int8@...` for a quantised graph.
        n_streams: Pictures scored at once; default: one for each core.
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
            # Pinned threads of two processes would share one core and leave another idle.
            "ENABLE_CPU_PINNING": False,
        }
        core = openvino_core()
        if isinstance(model, tuple):
            graph, weights = model
            # From memory: what was hashed is what runs.
            model = core.read_model(graph, weights)
        self._compiled: Any = core.compile_model(model, "CPU", settings)
        self.name = "openvino-cpu"
        self.precision = precision
        self.device = "cpu"
        self.batch_images = 1
        self._mine = threading.local()

    def run(self, pixels_f32_nchw: NDArray[np.float32]) -> tuple[Logits, Embeddings]:
        """The network's own logits (N,) and embeddings (N, D); N is at least 1."""
        request = getattr(self._mine, "request", None)
        if request is None:
            request = self._mine.request = self._compiled.create_infer_request()
        # The outputs are the request's own memory, which its next pass overwrites.
        found = request.infer([pixels_f32_nchw], share_inputs=True, share_outputs=True)
        return found["logits"].copy(), found["embeddings"].copy()

    @contextlib.contextmanager
    def streams(self, n_streams: int) -> Iterator[Callable[[], None]]:
        """Nothing to prepare: each stream has one thread as it is."""
        yield lambda: None

    def free(self) -> None:
        """Nothing to do: a stream keeps the memory of its one picture."""
