"""Backends and precisions on the pictures of a lake: how fast, and how far from fp32 PyTorch.

What is found is kept on this machine; from then on it decides whether a backend may be used.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..data.errors import ConfigError, InputError, UnreadableImage
from ..data.store.lake import Lake
from .decide.policy import Policy
from .detector.backends.make import make_backend
from .detector.backends.protocol import REFERENCE, BackendName
from .detector.detector import Detector
from .detector.inputs.preprocess import preprocess
from .detector.inputs.profiles import Profile
from .detector.load import detector_on
from .detector.selection.choose_backend import is_within, rate
from .detector.selection.drift import SliceReport, drift_by_slice, slice_of
from .detector.selection.measurements import Measured, keep_measured, now
from .detector.streaming import score_stream
from .detector.tools.quantise import quantise
from .detector.weights.checkpoint import Checkpoint
from .detector.weights.int8_store import Quantised, find_quantised
from .labels import best_labels

MAX_HELD_OUT: Final = 200
MOST_IMAGES: Final = 1_000_000
_FAKE: Final = {"fake": 1, "real": 0}


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
        return plain(asdict(self.measured)) | {
            "slices": [plain(asdict(one)) for one in self.slices],
            "is_within_limit": self.is_within,
        }


def plain(values: dict[str, Any]) -> dict[str, Any]:
    """The same with null for figures that are not finite, which JSON has no word for."""
    out: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            out[name] = plain(value)
        else:
            out[name] = None if isinstance(value, float) and not isfinite(value) else value
    return out


def sample(lake: Lake, n_images: int, *, leave_out: Sequence[str] = ()) -> pl.DataFrame:
    """Some images of a lake, as evenly over the slices of `drift` as they are there.

    By the order of their ids, which are hashes: always the same ones of the same lake.

    Returns:
        Columns image_id, slice, label (1 machine-made, 0 real, null unknown).

    Raises:
        ConfigError: `n_images` is out of range.
    """
    if not 1 <= n_images <= MOST_IMAGES:
        raise ConfigError(f"n = {n_images}; allowed: 1 to {MOST_IMAGES:,} pictures")
    images = (
        lake.scan("images")
        .select(
            "image_id", "jpeg_quality", short_edge_px=pl.min_horizontal("width_px", "height_px")
        )
        .unique("image_id", keep="any")
        .filter(~pl.col("image_id").is_in(list(leave_out)))
        .collect()
    )
    slices = [
        slice_of(short, quality)
        for short, quality in images.select("short_edge_px", "jpeg_quality").iter_rows()
    ]
    images = images.with_columns(pl.Series("slice", slices, dtype=pl.String)).sort("image_id")
    chosen = _spread(images, n_images)
    labels = best_labels(*(lake.scan(table) for table in ("reviews", "synthetics", "sightings")))
    known = labels.select("image_id", label=pl.col("label").replace_strict(_FAKE, default=None))
    return (
        chosen.lazy()
        .join(known, on="image_id", how="left")
        .select("image_id", "slice", pl.col("label").cast(pl.Int64))
        .sort("image_id")
        .collect()
    )


def _spread(images: pl.DataFrame, n_images: int) -> pl.DataFrame:
    """The first of every slice in turn, until there are enough."""
    turn = pl.int_range(pl.len()).over("slice")
    return images.with_columns(turn=turn).sort("turn", "image_id").head(n_images).drop("turn")


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
    """Score the same pictures by fp32 PyTorch and by each wanted backend and precision.

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
        quantised = None
        if precision == "int8":
            quantised = find_quantised(checkpoint.weights_sha256, profile, detector=checkpoint.name)
        return detector_on(
            checkpoint, profile, make_backend(checkpoint, backend, device, precision, quantised)
        )

    reference = logits_of(loaded(REFERENCE, "fp32"))
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


def halves(images: pl.DataFrame, n_images: int) -> tuple[list[str], pl.DataFrame]:
    """Ids to quantise on, and other images to measure on, both spread over the slices."""
    # Every other one of each kind, so that both hold all; small lakes keep most to quantise on.
    every = 2 if images.height >= 128 else 4
    parts = images.sort("image_id").with_columns(
        is_held_out=pl.int_range(pl.len()).over("slice") % every == every - 1
    )
    held_out = parts.filter("is_held_out").drop("is_held_out")
    chosen = _spread(parts.filter(~pl.col("is_held_out")), n_images)["image_id"].to_list()
    return chosen, _spread(held_out, MAX_HELD_OUT).sort("image_id")


def quantise_on_lake(
    lake: Lake,
    checkpoint: Checkpoint,
    profile: Profile,
    *,
    n_images: int,
    policy: Policy,
    on_item: Callable[[int], None] | None = None,
) -> tuple[Quantised, Benched | None]:
    """Quantise on some pictures of a lake, and measure drift on up to 200 others.

    Returns:
        What was made, and its figures; None where the lake has no other pictures.

    Raises:
        ConfigError: NNCF is not installed.
        InputError: There are too few pictures.
    """
    chosen, held_out = halves(sample(lake, 2 * (n_images + MAX_HELD_OUT)), n_images)

    def pixels() -> Iterator[NDArray[np.float32]]:
        for _, raw in lake.images(chosen):
            # A picture that cannot be decoded has a failed row of its own elsewhere.
            with contextlib.suppress(UnreadableImage):
                yield preprocess(raw, profile)
            if on_item is not None:
                on_item(1)

    made = quantise(checkpoint, profile, pixels(), image_ids=chosen)
    if held_out.is_empty():
        return made, None
    (found,) = bench_lake(
        lake,
        checkpoint,
        profile,
        [("openvino", "int8")],
        policy=policy,
        images=held_out,
        on_item=on_item,
    )
    return made, found
