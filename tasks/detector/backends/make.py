"""Construction of the backend that runs a checkpoint's network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ....data.errors import ConfigError
from ..weights.checkpoint import Checkpoint, Network
from ..weights.int8_store import Quantised
from ..weights.library_classifier import LibraryClassifier
from ..weights.python_detector import PythonArchitecture
from .protocol import BACKENDS, REFERENCE, Backend, BackendName

if TYPE_CHECKING:
    import torch


def backends_of(architecture: Network) -> tuple[BackendName, ...]:
    """Return the backends that can run a network, whether or not this machine has them.

    OpenVINO runs ViTs only, whose graph is built here. A converter's graph of another network
    would depend on the versions of three libraries; PyTorch runs those networks directly.
    """
    if isinstance(architecture, PythonArchitecture):
        return ("python",)
    if isinstance(architecture, LibraryClassifier):
        return tuple(name for name in BACKENDS if name != "openvino")
    return BACKENDS


def reference_of(architecture: Network) -> BackendName:
    """Return the backend that is the reference for the drift of the others."""
    return "python" if isinstance(architecture, PythonArchitecture) else REFERENCE


def make_backend(
    checkpoint: Checkpoint,
    name: BackendName,
    device: str,
    precision: str,
    quantised: Quantised | None = None,
) -> Backend:
    """Load a checkpoint's network on one backend, without a check of its drift.

    Args:
        checkpoint: Checked checkpoint.
        name: Name of the backend.
        device: Name of the device; see `load_detector`.
        precision: `fp32`, `bf16`, `fp16`, or `int8` with `quantised`.
        quantised: Quantised weights, for `int8`.

    Raises:
        ConfigError: This machine has no such device, or the backend cannot run the network.
        ModelError: The library of the network cannot build it.
        UntrustedWeights: The weights do not fit the network, or are not finite.
    """
    if isinstance(checkpoint.architecture, PythonArchitecture):
        from .python_backend import PythonBackend

        return PythonBackend(checkpoint.architecture.scorer)
    if name == "openvino":
        from .openvino_cpu import OpenVinoBackend
        from .openvino_graph import build_model

        if quantised is not None and precision == "int8":
            model = quantised.graph, quantised.weights
            return OpenVinoBackend(model, precision=quantised.precision)
        graph = build_model(checkpoint.raw_weights, checkpoint.require_vit(), checkpoint.name)
        return OpenVinoBackend(graph, precision=precision)
    from .devices import choose_devices
    from .lanes import Lanes
    from .pytorch import TorchBackend

    compiled = name == "torch-compile"
    devices = choose_devices(device)
    if compiled:
        devices = devices[:1]  # PyTorch limits how often it compiles the same code
    lanes = [
        TorchBackend(build_module(checkpoint), device=one, precision=precision, compiled=compiled)
        for one in devices
    ]
    return lanes[0] if len(lanes) == 1 else Lanes(lanes)


def build_module(checkpoint: Checkpoint) -> torch.nn.Module:
    """Return a checkpoint's network as a PyTorch module: fp32, on the CPU, eval mode, frozen.

    Raises:
        ConfigError: The detector is a Python object, which has no PyTorch network.
        ModelError: The library of the network cannot build it.
        UntrustedWeights: The weights do not fit the network, or are not finite.
    """
    architecture = checkpoint.architecture
    if isinstance(architecture, PythonArchitecture):
        raise ConfigError(
            f"{checkpoint.name} is a Python object without a PyTorch network, which gradients"
            " require; choose another detector"
        )
    if isinstance(architecture, LibraryClassifier):
        from .classifier_network import build_classifier

        return build_classifier(checkpoint.raw_weights, architecture, checkpoint.name)
    from .network import build_network

    return build_network(checkpoint.raw_weights, architecture, checkpoint.name)
