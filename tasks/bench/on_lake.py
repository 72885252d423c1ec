"""Speed of backends and precisions on a lake's images, and their drift from the reference.

The figures are kept on this machine and decide from then on whether a backend may be used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any

import numpy as np
import polars as pl

from ...data.errors import InputError
from ...data.store.lake import Lake
from ...data.text.wording import counted
from ..decide.policy import Policy
from ..detector.backends.make import reference_of
from ..detector.backends.protocol import BackendName
from ..detector.detector import Detector
from ..detector.inputs.profiles import Profile
from ..detector.load import load_on
from ..detector.selection.choose_backend import is_within, rate
from ..detector.selection.drift import SliceReport, drift_by_slice
from ..detector.selection.measurements import Measured, keep_measured, now
from ..detector.streaming import score_stream
from ..detector.weights.checkpoint import Checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Benched:
    """Figures of one backend and precision on a lake's images."""

    measured: Measured
    slices: list[SliceReport]

    @property
    def is_within(self) -> bool:
        """Whether the drift is within the limit."""
        return is_within(self.measured)

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain values."""
        return plain_measured(self.measured) | {
            "slices": [plain(asdict(report)) for report in self.slices],
        }


def plain_measured(measured: Measured) -> dict[str, Any]:
    """Return a measurement as plain values, and whether it is within its limit."""
    return plain(asdict(measured)) | {"is_within_limit": is_within(measured)}


def plain(values: dict[str, Any]) -> dict[str, Any]:
    """Return values with None for numbers that are not finite, which JSON cannot express."""
    out: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            out[name] = plain(value)
        else:
            out[name] = None if isinstance(value, float) and not isfinite(value) else value
    return out


def bench_lake(
    lake: Lake,
    checkpoint: Checkpoint,
    profile: Profile,
    wanted: Sequence[tuple[BackendName, str]],
    *,
    policy: Policy,
    images: pl.DataFrame,
    device: str = "cpu",
    on_item: Callable[[int], None] | None = None,
) -> list[Benched]:
    """Score the same images by the reference and by each wanted backend and precision.

    Args:
        lake: Lake of the images.
        checkpoint: Checked checkpoint.
        profile: Preprocessing profile of the images.
        wanted: Backends and precisions, from `wanted_backends`.
        policy: Policy whose thresholds define decisions.
        images: Images from `sample`.
        device: Name of the device; see `load_detector`.
        on_item: Function that receives the number of scores since its last call.

    Raises:
        InputError: None of the images can be scored.
        ModelError: A network cannot be loaded.
    """
    ids = images["image_id"].to_list()

    def logits_of(detector: Detector) -> dict[str, float]:
        logits: dict[str, float] = {}
        for part in score_stream(detector, lake.images(ids)):
            for scored in part:
                logits[scored.image_id] = np.nan if scored.logit is None else scored.logit
            if on_item is not None:
                on_item(len(part))
        return logits

    def loaded(backend: BackendName, precision: str) -> Detector:
        return load_on(checkpoint, profile, backend, precision, device=device)

    reference = logits_of(loaded(reference_of(checkpoint.architecture), "fp32"))
    # An image that the reference cannot score has no drift.
    scored = images.filter(
        pl.col("image_id").is_in([k for k, v in reference.items() if np.isfinite(v)])
    )
    if scored.is_empty():
        raise InputError(f"{lake.uri} has no image that can be scored; ingest some")
    kept = scored["image_id"].to_list()
    band, _ = policy.band(checkpoint.detector_id)
    out = []
    for backend, precision in wanted:
        detector = loaded(backend, precision)
        logits = logits_of(detector)
        slices = drift_by_slice(
            np.array([reference[image_id] for image_id in kept], np.float32),
            np.array([logits[image_id] for image_id in kept], np.float32),
            slices=scored["slice"].to_list(),
            labels=scored["label"].to_list(),
            review_at=band.review_at,
            flag_at=band.flag_at,
        )
        measured = Measured(
            backend=detector.backend,
            precision=detector.precision,
            images_per_second=rate(detector),
            drift=slices[0].drift,
            pictures=f"{counted(len(kept), 'image')} of {lake.uri}",
            measured_at=now(),
        )
        keep_measured(checkpoint.weights_sha256, measured)
        out.append(Benched(measured=measured, slices=slices))
    return out
