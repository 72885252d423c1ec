"""The one way in: from a name to a detector that is known to be what its name says.

Imports no model library until every check has passed.
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
    """Return what scores of `load_detector` would be known by; checks files, loads no library.

    Raises:
        ConfigError: An argument is wrong.
        ModelError: The weights cannot be had or cannot be trusted.
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
    """Load a detector by registered name, name of a package's, hub id at a commit, or folder.

    Args:
        name: `community-forensics`, `commfor-384`, `commfor-224`, `mini`, a name that an
            installed package adds, an `org/name@<40 hex digits>`, or a folder with
            `model.safetensors`.
        profile: Preprocessing; default: the one that the checkpoint was trained with.
        device: `auto`, `cpu`, `cuda`, `cuda:1`, `mps`, `xpu`, `tpu`.
        precision: `auto`, `fp32`, `bf16`, `fp16`, `int8`.
        backend: `auto`, `torch`, `torch-compile`, `openvino`.
        positive: What a larger logit means, `fake` or `real`; for checkpoints that neither
            the registry nor a `detector.toml` beside the weights tells of.
        cache_dir: Cache of the hub; default: the hub's own, as its environment variables say.
        force_drift: Use a backend even where it moves scores further than it may.

    Raises:
        ConfigError: An argument is wrong, or the device is not there.
        ModelError: The weights cannot be had or cannot be trusted; nothing is used instead.
        GateRefused: The backend moves scores further than it may on this machine.
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
    """Load a checkpoint on one backend, whatever its drift.

    Args:
        checkpoint: Checked already.
        profile: How pictures are prepared.
        backend: Name of the backend.
        precision: `fp32`, `bf16`, `fp16` or `int8`.
        device: As for `load_detector`.

    Raises:
        ModelError: There are no int8 weights on this machine, or the weights cannot be trusted.
    """
    quantised = _quantised(checkpoint, profile) if precision == "int8" else None
    runner = make_backend(checkpoint, backend, device, precision, quantised)
    return detector_on(checkpoint, profile, runner)


def detector_on(checkpoint: Checkpoint, profile: Profile, runner: Backend) -> Detector:
    """Return the detector of a checkpoint that a backend runs."""
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
