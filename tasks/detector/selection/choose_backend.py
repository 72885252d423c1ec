"""Which backend runs a checkpoint: the fastest that gives the reference's scores here.

Nothing is taken on trust: before a backend is used for the first time on a machine, its
logits are held against fp32 PyTorch's and its rate is measured; both are kept.
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
# Enough for each stream to reach its pace, few enough that nobody waits long.
_ROUNDS_PER_STREAM: Final = 4

Make = Callable[[BackendName, str], "Detector"]


def candidates(
    backend: str, precision: str, kind: str, *, runs_on: Sequence[BackendName] = BACKENDS
) -> tuple[BackendName, ...]:
    """The backends that may run this precision on this kind of device, of those asked for.

    Args:
        backend: `auto` or a name.
        precision: `fp32`, `bf16`, `fp16` or `int8`.
        kind: Of the device.
        runs_on: Backends that can run the network at all.

    Raises:
        ConfigError: The name is unknown, or that backend cannot do it here.
    """
    check_backend(backend)
    # Where two score alike and as fast, the first is taken: it starts without PyTorch.
    ordered = sorted(runs_on, key=lambda name: name != "openvino")
    possible = [name for name in ordered if _can_run(name, precision, kind)]
    # The compiler takes longer than most runs.
    wanted = ("openvino", "torch", "python") if backend == "auto" else (backend,)
    chosen = tuple(name for name in possible if name in wanted)
    if not chosen:
        nothing = "nothing; pip install openvino" if "openvino" in runs_on else "nothing; use fp32"
        raise ConfigError(
            f"backend {backend} cannot run {precision} on {kind}; what can is: "
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
    """The fastest of some backends whose measured drift is within its limit on this machine.

    Args:
        make: Gives the detector of a backend and precision, loaded.
        names: Backends to choose from.
        precision: `fp32`, `bf16`, `fp16` or `int8`.
        label: The precision as `scores.precision` has it.
        kind: Of the device.
        weights_sha256: Of the checkpoint.
        force: Take one that drifts too far all the same, and say so.

    Raises:
        GateRefused: All of them move scores further than they may.
    """
    if tuple(names) == ("python",):
        return require_consistent(make("python", precision), force=force)
    if tuple(names) == (REFERENCE,) and is_exact(precision):
        detector = make(REFERENCE, precision)
        detector.why = "the reference that others are measured against"
        return detector
    known = read_measured(weights_sha256)
    made: dict[str, Detector] = {}
    found: dict[BackendName, Measured] = {}
    for name in names:
        kept = known.get((f"{name}-{kind}", label))
        if kept is None:
            kept = measure(make, name, precision, made=made)
            keep_measured(weights_sha256, kept)
        found[name] = kept
    allowed = {name: one for name, one in found.items() if is_within(one)}
    if not allowed and not force:
        worst = min(found.values(), key=lambda one: judged_logit(one.drift, label))
        raise GateRefused(refusal(worst))
    best = max(allowed or found, key=lambda name: found[name].images_per_second)
    detector = made.get(f"{best} {precision}") or make(best, precision)
    detector.why = _why(found[best], [one for name, one in found.items() if name != best])
    return detector


def measure(
    make: Make, name: BackendName, precision: str, *, made: dict[str, Detector] | None = None
) -> Measured:
    """Drift from fp32 PyTorch on pictures drawn here, and rate, of one backend.

    Of a Python object, which nothing else runs: from each picture alone to a batch of them.

    `made` takes the detectors that were loaded for it, by backend and precision.
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
    logits = np.concatenate([detector.forward(one[None])[0] for one in pixels])
    expected = np.concatenate([reference.forward(one[None])[0] for one in pixels])
    return Measured(
        backend=detector.backend,
        precision=detector.precision,
        images_per_second=rate(detector),
        drift=drift_between(expected, logits),
        pictures=f"{N_DRAWN} drawn pictures",
        measured_at=now(),
    )


def rate(detector: Detector) -> float:
    """Images a second of the network alone, on all cores; the better of two short tries."""
    n_images = _ROUNDS_PER_STREAM * n_cores() * detector.batch_images
    bare_forward(detector, n_cores() * detector.batch_images)
    return max(bare_forward(detector, n_images) for _ in range(2))


def drawn_pixels(shape: tuple[int, int, int]) -> NDArray[np.float32]:
    """Pictures of coarse patches under noise of growing strength, as `preprocess` would give them.

    Shape (N_DRAWN, 3, side, side); always the same.
    """
    rng = np.random.default_rng(0)
    channels, side, _ = shape
    cell = -(-side // 8)
    coarse = rng.uniform(-2, 2, (N_DRAWN, channels, 8, 8)).astype(np.float32)
    smooth = coarse.repeat(cell, axis=2).repeat(cell, axis=3)[:, :, :side, :side]
    strength = np.linspace(0, 0.7, N_DRAWN, dtype=np.float32)[:, None, None, None]
    noise = rng.standard_normal((N_DRAWN, channels, side, side), dtype=np.float32)
    return np.ascontiguousarray(smooth + strength * noise)


def is_within(one: Measured) -> bool:
    """Whether a backend's drift is within the limit of its precision."""
    return judged_logit(one.drift, one.precision) <= limit_logit(one.precision)


def refusal(one: Measured) -> str:
    """Why a backend is not used, and what to do about it."""
    figure = "at most" if is_exact(one.precision) else "at the 99th percentile"
    drift = judged_logit(one.drift, one.precision)
    return (
        f"{one.backend} in {one.precision} moves logits by {drift:.3g} {figure} from fp32"
        f" PyTorch's (on {one.pictures}); allowed are {limit_logit(one.precision):g}. Use"
        " --backend torch --precision fp32, or --force-drift to use it all the same"
    )


def _why(best: Measured, others: Sequence[Measured]) -> str:
    rates = "".join(f" against {one.images_per_second:.1f} of {one.backend}" for one in others)
    over = "" if is_within(best) else f", over the limit of {limit_logit(best.precision):g}: forced"
    return (
        f"{best.images_per_second:.1f} images/s{rates}, at most {best.drift.max:.1g} from fp32"
        f" PyTorch's logits on {best.pictures}{over}"
    )
