"""Which backends a bench measures, and their rates without a lake."""

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
    """Return every combination that was asked for, or that there is.

    Args:
        checkpoint: Checked already.
        profile: How pictures are prepared.
        backends: Names; none for those that are chosen from by themselves.
        precisions: Names; none for fp32, and int8 where this machine has such weights.
        kind: Kind of device.

    Raises:
        ConfigError: A name is unknown, or a backend cannot run a precision here.
    """
    formats = [choose_precision(one, kind) for one in precisions] or ["fp32"]
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
    """Measure rate and drift on drawn pictures, and keep them on this machine.

    Args:
        checkpoint: Checked already.
        profile: How pictures are prepared.
        wanted: From `wanted_backends`.
    """

    def make(name: BackendName, number_format: str) -> Detector:
        return load_on(checkpoint, profile, name, number_format)

    measured = [measure(make, name, number_format) for name, number_format in wanted]
    known = read_measured(checkpoint.weights_sha256)
    for one in measured:
        kept = known.get((one.backend, one.precision), one)
        # Drift on a lake's own pictures stands; only the rate is new.
        stands = one if kept.pictures == one.pictures else kept
        new = replace(stands, images_per_second=one.images_per_second)
        keep_measured(checkpoint.weights_sha256, new)
    return measured


def int8_images(
    checkpoint: Checkpoint, profile: Profile, wanted: Sequence[tuple[BackendName, str]]
) -> tuple[str, ...]:
    """Return the images that wanted int8 weights were made from: none may measure their drift."""
    if not any(number_format == "int8" for _, number_format in wanted):
        return ()
    return find_quantised(checkpoint.weights_sha256, profile, detector=checkpoint.name).image_ids


def _has_int8(checkpoint: Checkpoint, profile: Profile) -> bool:
    try:
        find_quantised(checkpoint.weights_sha256, profile, detector=checkpoint.name)
    except AssayError:
        return False
    return True
