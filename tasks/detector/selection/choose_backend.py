"""Choice of the backend: the fastest on this machine whose scores match the reference.

Before its first use on a machine, a backend's logits are compared with those of PyTorch in fp32
and its speed is measured; both figures are kept.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from ....data.errors import ConfigError, GateRefused
from ....data.machine import n_cores
from ..backends.protocol import BACKENDS, REFERENCE, BackendName, check_backend
from ..streaming import bare_forward
from .consistency import measure_alone, require_consistent
from .drift import drift_between, is_exact, judged_logit, limit_logit
from .measurements import Measured, keep_measured, now, read_measured

if TYPE_CHECKING:
    from ..detector import Detector

N_DRAWN: Final = 8
# Enough batches for each stream to reach its full speed, in a few seconds.
_ROUNDS_PER_STREAM: Final = 4

Make = Callable[[BackendName, str], "Detector"]


def candidates(
    backend: str, precision: str, kind: str, *, runs_on: Sequence[BackendName] = BACKENDS
) -> tuple[BackendName, ...]:
    """Return the requested backends that can run a precision on a kind of device.

    Args:
        backend: Name of a backend, or `auto`.
        precision: Number format: `fp32`, `bf16`, `fp16` or `int8`.
        kind: Kind of device.
        runs_on: Backends that can run the network.

    Raises:
        ConfigError: The name is unknown, or no requested backend can run the precision here.
    """
    check_backend(backend)
    # The first of equally fast backends is chosen, and OpenVINO starts without PyTorch.
    ordered = sorted(runs_on, key=lambda name: name != "openvino")
    possible = [name for name in ordered if _can_run(name, precision, kind)]
    # `auto` leaves torch-compile out: compiling takes longer than most runs.
    wanted = ("openvino", "torch", "python") if backend == "auto" else (backend,)
    chosen = tuple(name for name in possible if name in wanted)
    if not chosen:
        nothing = "none; pip install openvino" if "openvino" in runs_on else "none; use fp32"
        raise ConfigError(
            f"backend {backend} cannot run {precision} on {kind}; backends that can: "
            f"{', '.join(possible) or nothing}"
        )
    return chosen


def _can_run(name: BackendName, precision: str, kind: str) -> bool:
    if name == "openvino":
        return kind == "cpu" and importlib.util.find_spec("openvino") is not None
    return precision == "fp32" if name == "python" else precision != "int8"


def choose(
    make: Make,
    names: Sequence[BackendName],
    *,
    precision: str,
    label: str,
    kind: str,
    weights_sha256: str,
    force: bool = False,
) -> Detector:
    """Load the fastest of some backends whose drift on this machine is within the limit.

    Args:
        make: Function from a backend and a precision to the loaded detector.
        names: Backends to choose from.
        precision: Number format: `fp32`, `bf16`, `fp16` or `int8`.
        label: Precision as in `scores.precision`.
        kind: Kind of device.
        weights_sha256: Hash of the checkpoint's weights.
        force: Whether to accept a drift above the limit; the detector's `why` then names it.

    Raises:
        GateRefused: Every backend's drift is above the limit.
    """
    if tuple(names) == ("python",):
        return require_consistent(make("python", precision), force=force)
    if tuple(names) == (REFERENCE,) and is_exact(precision):
        detector = make(REFERENCE, precision)
        detector.why = "the reference for the drift of other backends"
        return detector
    known = read_measured(weights_sha256)
    made: dict[str, Detector] = {}
    measured: dict[BackendName, Measured] = {}
    for name in names:
        kept = known.get((f"{name}-{kind}", label))
        if kept is None:
            kept = measure(make, name, precision, made=made)
            keep_measured(weights_sha256, kept)
        measured[name] = kept
    allowed = {name: figures for name, figures in measured.items() if is_within(figures)}
    if not allowed and not force:
        nearest = min(measured.values(), key=lambda figures: judged_logit(figures.drift, label))
        raise GateRefused(refusal(nearest))
    best = max(allowed or measured, key=lambda name: measured[name].images_per_second)
    detector = made.get(f"{best} {precision}") or make(best, precision)
    others = [figures for name, figures in measured.items() if name != best]
    detector.why = _why(measured[best], others)
    return detector


def measure(
    make: Make, name: BackendName, precision: str, *, made: dict[str, Detector] | None = None
) -> Measured:
    """Measure the speed of one backend and its drift from PyTorch in fp32 on generated test images.

    For a Python object, which has one backend only, the drift is that of a batch from each image
    alone.

    Args:
        make: Function from a backend and a precision to the loaded detector.
        name: Backend to measure.
        precision: Number format: `fp32`, `bf16`, `fp16` or `int8`.
        made: Loaded detectors by backend and precision; the ones loaded here are added.
    """
    made = {} if made is None else made

    def loaded(backend: BackendName, number_format: str) -> Detector:
        key = f"{backend} {number_format}"
        if key not in made:
            made[key] = make(backend, number_format)
        return made[key]

    if name == "python":
        own = loaded(name, precision)
        return measure_alone(own, rate(own))
    detector, reference = loaded(name, precision), loaded(REFERENCE, "fp32")
    pixels = drawn_pixels(reference.input_shape)
    logits = np.concatenate([detector.forward(image[None])[0] for image in pixels])
    expected = np.concatenate([reference.forward(image[None])[0] for image in pixels])
    return Measured(
        backend=detector.backend,
        precision=detector.precision,
        images_per_second=rate(detector),
        drift=drift_between(expected, logits),
        pictures=f"{N_DRAWN} generated test images",
        measured_at=now(),
    )


def rate(detector: Detector) -> float:
    """Measure the images per second of the network alone on all cores: the better of two runs."""
    n_images = _ROUNDS_PER_STREAM * n_cores() * detector.batch_images
    bare_forward(detector, n_cores() * detector.batch_images)
    return max(bare_forward(detector, n_images) for _ in range(2))


def drawn_pixels(shape: tuple[int, int, int]) -> NDArray[np.float32]:
    """Return generated test images: coarse patches with noise of increasing strength, normalised.

    Args:
        shape: Channels, height and width of the input.

    Returns:
        Pixels (N_DRAWN, 3, side, side), like those of `preprocess`; the same at every call.
    """
    rng = np.random.default_rng(0)
    channels, side, _ = shape
    cell = -(-side // 8)
    coarse = rng.uniform(-2, 2, (N_DRAWN, channels, 8, 8)).astype(np.float32)
    smooth = coarse.repeat(cell, axis=2).repeat(cell, axis=3)[:, :, :side, :side]
    strength = np.linspace(0, 0.7, N_DRAWN, dtype=np.float32)[:, None, None, None]
    noise = rng.standard_normal((N_DRAWN, channels, side, side), dtype=np.float32)
    return np.ascontiguousarray(smooth + strength * noise)


def is_within(measured: Measured) -> bool:
    """Return whether a backend's drift is within the limit of its precision."""
    return judged_logit(measured.drift, measured.precision) <= limit_logit(measured.precision)


def refusal(measured: Measured) -> str:
    """Return the reason why a backend is not used, with advice."""
    figure = "at most" if is_exact(measured.precision) else "at the 99th percentile"
    drift = judged_logit(measured.drift, measured.precision)
    return (
        f"{measured.backend} in {measured.precision} moves logits by {drift:.3g} {figure} from"
        f" those of PyTorch in fp32 (on {measured.pictures}); allowed are"
        f" {limit_logit(measured.precision):g}. Use --backend torch --precision"
        " fp32, or --force-drift to accept the drift"
    )


def _why(best: Measured, others: Sequence[Measured]) -> str:
    rates = "".join(
        f" against {other.images_per_second:.1f} of {other.backend}" for other in others
    )
    over = "" if is_within(best) else f", over the limit of {limit_logit(best.precision):g}: forced"
    return (
        f"{best.images_per_second:.1f} images/s{rates}; logits at most {best.drift.max:.1g} from"
        f" those of PyTorch in fp32 on {best.pictures}{over}"
    )
