"""From a checkpoint and the name of a backend to a network that is ready to run."""

from __future__ import annotations

from ..weights.checkpoint import Checkpoint
from ..weights.int8_store import Quantised
from .protocol import Backend, BackendName


def make_backend(
    checkpoint: Checkpoint,
    name: BackendName,
    device: str,
    precision: str,
    quantised: Quantised | None = None,
) -> Backend:
    """Load a checkpoint's network on one backend, whatever its drift.

    Args:
        checkpoint: Checked already.
        name: Name of the backend.
        device: As for `load_detector`.
        precision: `fp32`, `bf16`, `fp16`, or `int8` with `quantised`.
        quantised: Quantised weights.

    Raises:
        UntrustedWeights: The weights do not fit the network, or are not finite.
    """
    if name == "openvino":
        from .openvino_cpu import OpenVinoBackend
        from .openvino_graph import build_model

        if quantised is not None and precision == "int8":
            model = quantised.graph, quantised.weights
            return OpenVinoBackend(model, precision=quantised.precision)
        graph = build_model(checkpoint.raw_weights, checkpoint.architecture, checkpoint.name)
        return OpenVinoBackend(graph, precision=precision)
    from .devices import choose_device
    from .network import build_network
    from .pytorch import TorchBackend

    return TorchBackend(
        build_network(checkpoint.raw_weights, checkpoint.architecture, checkpoint.name),
        device=choose_device(device),
        precision=precision,
        compiled=name == "torch-compile",
    )
