"""From a checkpoint and the name of a backend to a network that is ready to run."""

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
    """Return the backends that can run a network, whatever this machine has.

    OpenVINO's graph is built by hand, for ViTs only: what a converter makes of other networks
    follows the versions of three libraries, and PyTorch runs them as they are.
    """
    if isinstance(architecture, PythonArchitecture):
        return ("python",)
    if isinstance(architecture, LibraryClassifier):
        return tuple(name for name in BACKENDS if name != "openvino")
    return BACKENDS


def reference_of(architecture: Network) -> BackendName:
    """Return the backend that the others are measured against."""
    return "python" if isinstance(architecture, PythonArchitecture) else REFERENCE


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
    from .devices import choose_device
    from .pytorch import TorchBackend

    return TorchBackend(
        build_module(checkpoint),
        device=choose_device(device),
        precision=precision,
        compiled=name == "torch-compile",
    )


def build_module(checkpoint: Checkpoint) -> torch.nn.Module:
    """Return a checkpoint's network as a PyTorch module: fp32, on the CPU, eval mode, frozen.

    Raises:
        ConfigError: It is a Python object, which has none.
        UntrustedWeights: The weights do not fit the network, or are not finite.
    """
    architecture = checkpoint.architecture
    if isinstance(architecture, PythonArchitecture):
        raise ConfigError(
            f"{checkpoint.name} is a Python object without a PyTorch network, which gradients"
            " need; choose another detector for this"
        )
    if isinstance(architecture, LibraryClassifier):
        from .classifier_network import build_classifier

        return build_classifier(checkpoint.raw_weights, architecture, checkpoint.name)
    from .network import build_network

    return build_network(checkpoint.raw_weights, architecture, checkpoint.name)
