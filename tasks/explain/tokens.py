"""Tokens of an image after the network's final norm: one embedding per patch."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...data.machine import n_cores
from ..detector.backends.openvino_graph import build_model, openvino_core
from ..detector.weights.checkpoint import Checkpoint


class Tokens:
    """Network up to its final norm, fp32, on the CPU; many threads may call `run` at once."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        graph = build_model(
            checkpoint.raw_weights, checkpoint.require_vit(), checkpoint.name, tokens=True
        )
        settings = {
            "INFERENCE_PRECISION_HINT": "f32",
            "NUM_STREAMS": n_cores(),
            "INFERENCE_NUM_THREADS": n_cores(),
            "ENABLE_CPU_PINNING": False,
        }
        self._compiled: Any = openvino_core().compile_model(graph, "CPU", settings)
        self._mine = threading.local()

    def run(self, pixels_f32_nchw: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return tokens (N, 1 + patches, D) of preprocessed images, the class token first."""
        request = getattr(self._mine, "request", None)
        if request is None:
            request = self._mine.request = self._compiled.create_infer_request()
        tokens: NDArray[np.float32] = request.infer([pixels_f32_nchw])["tokens"].copy()
        return tokens
