"""Backends and precisions on the pictures of a lake: how fast, and how far from the reference.

What is found is kept on this machine; from then on it decides whether a backend may be used.
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
    """One backend and precision on a lake's pictures."""

    measured: Measured
    slices: list[SliceReport]

    @property
    def is_within(self) -> bool:
        """Whether it may be used by its drift."""
        return is_within(self.measured)

    def to_json(self) -> dict[str, Any]:
        """The same as plain values."""
        return plain_measured(self.measured) | {
            "slices": [plain(asdict(one)) for one in self.slices],
        }


def plain_measured(measured: Measured) -> dict[str, Any]:
    """Return a measurement as plain values, and whether it is within its limit."""
    return plain(asdict(measured)) | {"is_within_limit": is_within(measured)}


def plain(values: dict[str, Any]) -> dict[str, Any]:
    """The same with null for figures that are not finite, which JSON has no word for."""
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
    """Score the same pictures by the reference and by each wanted backend and precision.

    Args:
        lake: Where the pictures are.
        checkpoint: Checked already.
        profile: How to prepare pictures.
        wanted: Backends and precisions.
        policy: Whose thresholds count as decisions.
        images: From `sample`.
        device: As for `load_detector`.
        on_item: Called with the number of scores made since the last call.

    Raises:
        InputError: None of the pictures can be scored.
    """
    ids = images["image_id"].to_list()

    def logits_of(detector: Detector) -> dict[str, float]:
        found: dict[str, float] = {}
        for part in score_stream(detector, lake.images(ids)):
            found |= {one.image_id: np.nan if one.logit is None else one.logit for one in part}
            if on_item is not None:
                on_item(len(part))
        return found

    def loaded(backend: BackendName, precision: str) -> Detector:
        return load_on(checkpoint, profile, backend, precision, device=device)

    reference = logits_of(loaded(reference_of(checkpoint.architecture), "fp32"))
    # What the reference cannot score is no matter of drift.
    scored = images.filter(
        pl.col("image_id").is_in([k for k, v in reference.items() if np.isfinite(v)])
    )
    if scored.is_empty():
        raise InputError(f"{lake.uri} has no picture that can be scored; ingest some")
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
            pictures=f"{len(kept)} pictures of {lake.uri}",
            measured_at=now(),
        )
        keep_measured(checkpoint.weights_sha256, measured)
        out.append(Benched(measured=measured, slices=slices))
    return out
