"""Choice of the backends that a benchmark measures, and their speed without a lake."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...data.errors import AssayError
from ..detector.backends.devices import choose_precision
from ..detector.backends.make import backends_of
from ..detector.backends.protocol import BackendName
from ..detector.detector import Detector
from ..detector.inputs.profiles import Profile
from ..detector.load import load_on
from ..detector.selection.choose_backend import candidates, measure
from ..detector.selection.measurements import Measured, keep_measured, read_measured
from ..detector.weights.checkpoint import Checkpoint
from ..detector.weights.int8_store import find_quantised


def wanted_backends(
    checkpoint: Checkpoint,
    profile: Profile,
    *,
    backends: Sequence[str] = (),
    precisions: Sequence[str] = (),
    kind: str,
) -> list[tuple[BackendName, str]]:
    """Return every combination of the requested backends and precisions.

    Args:
        checkpoint: Checked checkpoint.
        profile: Preprocessing profile of the images.
        backends: Names of backends; empty for those of `auto`.
        precisions: Names of precisions; empty for fp32, and int8 where this machine has such
            weights.
        kind: Kind of device.

    Raises:
        ConfigError: A name is unknown, or a backend cannot run a precision on this device.
    """
    formats = [choose_precision(precision, kind) for precision in precisions] or ["fp32"]
    if not precisions and kind == "cpu" and _has_int8(checkpoint, profile):
        formats.append("int8")
    runs_on = backends_of(checkpoint.architecture)
    return [
        (name, number_format)
        for number_format in formats
        for backend in backends or ("auto",)
        for name in candidates(backend, number_format, kind, runs_on=runs_on)
    ]


def measure_backends(
    checkpoint: Checkpoint, profile: Profile, wanted: Sequence[tuple[BackendName, str]]
) -> list[Measured]:
    """Measure speed and drift on generated test images, and keep both on this machine.

    Args:
        checkpoint: Checked checkpoint.
        profile: Preprocessing profile of the images.
        wanted: Backends and precisions, from `wanted_backends`.

    Raises:
        ModelError: A network cannot be loaded.
    """

    def make(name: BackendName, number_format: str) -> Detector:
        return load_on(checkpoint, profile, name, number_format)

    measured = [measure(make, name, number_format) for name, number_format in wanted]
    known = read_measured(checkpoint.weights_sha256)
    for new in measured:
        kept = known.get((new.backend, new.precision), new)
        # A drift measured on a lake's images is kept; only the speed is replaced.
        base = new if kept.pictures == new.pictures else kept
        keep_measured(
            checkpoint.weights_sha256, replace(base, images_per_second=new.images_per_second)
        )
    return measured


def int8_images(
    checkpoint: Checkpoint, profile: Profile, wanted: Sequence[tuple[BackendName, str]]
) -> tuple[str, ...]:
    """Return the ids of the images that int8 weights were made from, if int8 is wanted.

    Drift must not be measured on these images.

    Args:
        checkpoint: Checked checkpoint.
        profile: Preprocessing profile of the images.
        wanted: Backends and precisions, from `wanted_backends`.

    Raises:
        ModelError: This machine has no such weights, or they cannot be trusted.
    """
    if not any(number_format == "int8" for _, number_format in wanted):
        return ()
    return find_quantised(checkpoint.weights_sha256, profile, detector=checkpoint.name).image_ids


def _has_int8(checkpoint: Checkpoint, profile: Profile) -> bool:
    try:
        find_quantised(checkpoint.weights_sha256, profile, detector=checkpoint.name)
    except AssayError:
        return False
    return True
