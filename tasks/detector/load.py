"""Loading of a detector by name, after every check that it is the one named.

No model library is imported until all checks have passed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .backends.devices import AUTO_PRECISION, choose_precision, device_kind
from .backends.make import backends_of, build_module, make_backend
from .backends.protocol import Backend, BackendName
from .identity import Identity, identity_of
from .inputs.profiles import Profile
from .selection.choose_backend import candidates, choose
from .weights.checkpoint import Checkpoint, chosen_profile, find_checkpoint
from .weights.int8_store import Quantised, find_quantised
from .weights.registry import DEFAULT_DETECTOR

if TYPE_CHECKING:
    from .detector import Detector


def identify(
    name: str = DEFAULT_DETECTOR,
    *,
    profile: str | None = None,
    precision: str = "auto",
    positive: str | None = None,
    cache_dir: str | Path | None = None,
) -> Identity:
    """Return the identity of the detector that `load_detector` would load.

    The files are checked; no model library is imported. The arguments are those of
    `load_detector`.

    Raises:
        ConfigError: An argument is wrong.
        ModelError: The weights cannot be obtained or cannot be trusted.
    """
    checkpoint = find_checkpoint(name, positive=positive, cache_dir=cache_dir)
    prepared = chosen_profile(profile, checkpoint)
    wanted = AUTO_PRECISION if precision == "auto" else precision
    if wanted == "int8":
        wanted = _quantised(checkpoint, prepared).precision
    return identity_of(checkpoint, prepared, wanted)


def load_detector(
    name: str = DEFAULT_DETECTOR,
    *,
    profile: str | None = None,
    device: str = "auto",
    precision: str = "auto",
    backend: str = "auto",
    positive: str | None = None,
    cache_dir: str | Path | None = None,
    force_drift: bool = False,
) -> Detector:
    """Load a detector by registered name, name from a package, hub id at a commit, or folder.

    Args:
        name: `community-forensics`, `commfor-384`, `commfor-224`, `mini`, a name that an
            installed package adds, an `org/name@<40 hex digits>`, or a folder with
            `model.safetensors`.
        profile: Preprocessing profile; default: the one that the checkpoint was trained with.
        device: Name of the device: `auto`, `cpu`, `cuda`, `cuda:1`, `mps`, `xpu`, `tpu`. A kind
            without a number is every device of the kind, see `choose_devices`.
        precision: Number format: `auto`, `fp32`, `bf16`, `fp16`, `int8`.
        backend: Name of the backend: `auto`, `torch`, `torch-compile`, `openvino`.
        positive: Class that a larger logit means, `fake` or `real`; for checkpoints where neither
            the registry nor a `detector.toml` beside the weights states it.
        cache_dir: Folder of the hub's cache; default: the one of the hub's environment variables.
        force_drift: Whether to use a backend whose drift is above the limit.

    Raises:
        ConfigError: An argument is wrong, or this machine has no such device.
        ModelError: The weights cannot be obtained or cannot be trusted. No other detector is
            used in their place.
        GateRefused: The backend's drift on this machine is above the limit.
    """
    checkpoint = find_checkpoint(name, positive=positive, cache_dir=cache_dir)
    prepared = chosen_profile(profile, checkpoint)
    runs_on = backends_of(checkpoint.architecture)
    # A Python object chooses its device itself.
    kind = "cpu" if runs_on == ("python",) and device == "auto" else device_kind(device)
    wanted = choose_precision(precision, kind)
    if wanted == "int8":
        checkpoint.require_vit()
    names = candidates(backend, wanted, kind, runs_on=runs_on)
    quantised = _quantised(checkpoint, prepared) if wanted == "int8" else None

    def make(backend_name: BackendName, number_format: str) -> Detector:
        return load_on(checkpoint, prepared, backend_name, number_format, device=device)

    return choose(
        make,
        names,
        precision=wanted,
        label=quantised.precision if quantised else wanted,
        kind=kind,
        weights_sha256=checkpoint.weights_sha256,
        force=force_drift,
    )


def load_on(
    checkpoint: Checkpoint,
    profile: Profile,
    backend: BackendName,
    precision: str,
    *,
    device: str = "auto",
) -> Detector:
    """Load a checkpoint on one backend, without a check of its drift.

    Args:
        checkpoint: Checked checkpoint.
        profile: Preprocessing profile of the images.
        backend: Name of the backend.
        precision: Number format: `fp32`, `bf16`, `fp16` or `int8`.
        device: Name of the device; see `load_detector`.

    Raises:
        ConfigError: This machine has no such device, or int8 is requested for another network
            than a ViT.
        ModelError: This machine has no int8 weights, or the weights cannot be trusted.
    """
    quantised = _quantised(checkpoint, profile) if precision == "int8" else None
    runner = make_backend(checkpoint, backend, device, precision, quantised)
    return detector_on(checkpoint, profile, runner)


def detector_on(checkpoint: Checkpoint, profile: Profile, runner: Backend) -> Detector:
    """Return the detector of a checkpoint and of the backend that runs it."""
    from .detector import Detector

    return Detector(
        runner,
        identity=identity_of(checkpoint, profile, runner.precision),
        architecture=checkpoint.architecture,
        build_module=lambda: build_module(checkpoint),
        positive=checkpoint.positive,
    )


def _quantised(checkpoint: Checkpoint, profile: Profile) -> Quantised:
    checkpoint.require_vit()  # only the graph of a ViT can be quantised
    return find_quantised(checkpoint.weights_sha256, profile, detector=checkpoint.name)
