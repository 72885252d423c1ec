"""The regression set: images whose label an appeal overturned; detectors are tested on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import polars as pl
from scipy.special import expit

from ...data.store.lake import Lake
from ...data.vocabulary import AppealEvent
from ..decide.policy import Band
from ..detector.streaming import score_stream
from ..latest_rows import Named, latest_sightings
from .appeals import appeals, is_ai_generated

if TYPE_CHECKING:
    from ..detector.detector import Detector

COLUMNS: Final = ("image_id", "label", "source_uri", "domain", "appeal_id", "decided_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tested:
    """Result of a detector on one image of the regression set.

    Attributes:
        image_id: Id of the image.
        label: Right label.
        prob_fake: Score; None if the image could not be scored.
        passes: Whether the detector is right: an AI-generated image is not cleared, any other is
            not flagged.
        why: Score and expectation, in words.
    """

    image_id: str
    label: str
    prob_fake: float | None
    passes: bool
    why: str

    def to_json(self) -> dict[str, Any]:
        """Return the result as plain values."""
        return asdict(self)


def regression_set(lake: Lake) -> pl.DataFrame:
    """Return the images whose latest appeal was overturned, with the right label, by id.

    Args:
        lake: Lake of the images.

    Returns:
        Columns `COLUMNS`: image_id, label, source_uri and domain of the latest sighting,
        appeal_id, decided_at.

    Raises:
        StoreError: The lake or its journal cannot be read.
    """
    last = (
        appeals(lake)
        .filter(pl.col("decided_at").is_not_null())
        .sort("decided_at", maintain_order=True)
        .unique("image_id", keep="last", maintain_order=True)
        .filter(pl.col("state") == AppealEvent.OVERTURNED.value)
    )
    part = Named(ids=tuple(last["image_id"]))
    seen = latest_sightings(lake, part=part).select("image_id", "source_uri", "domain").collect()
    joined = last.join(seen, on="image_id", how="left")
    return joined.select(COLUMNS).sort("image_id")


def scores_of(lake: Lake, image_ids: Sequence[str], detector: Detector) -> dict[str, float | None]:
    """Return a detector's score of each image, without writing to the lake; None for a failure.

    Args:
        lake: Lake of the images.
        image_ids: Ids of the images.
        detector: Loaded detector.

    Raises:
        StoreError: The bytes of an image cannot be read.
    """
    if not image_ids:
        return {}
    return {
        scored.image_id: None if scored.logit is None else float(expit(scored.logit))
        for part in score_stream(detector, lake.images(image_ids))
        for scored in part
    }


def detector_on(
    regressions: pl.DataFrame,
    probs: Mapping[str, float | None],
    band_of: Callable[[str | None], Band],
) -> list[Tested]:
    """Return how a detector does on each image of the regression set.

    Args:
        regressions: Images with image_id, label and domain.
        probs: Score by image; None or missing for an image that could not be scored.
        band_of: Function from a domain to the thresholds of the policy.
    """
    rows = regressions.select("image_id", "label", "domain").iter_rows()
    return [
        _tested(image_id, label, probs.get(image_id), band_of(domain))
        for image_id, label, domain in rows
    ]


def _tested(image_id: str, label: str, prob: float | None, band: Band) -> Tested:
    if prob is None:
        passes, why = False, "it could not be scored"
    elif is_ai_generated(label):
        passes = prob >= band.review_at
        why = f"{label}, score {prob:.3f}, cleared below {band.review_at:.3f}"
    else:
        passes = prob < band.flag_at
        why = f"{label}, score {prob:.3f}, flagged from {band.flag_at:.3f} on"
    return Tested(image_id=image_id, label=label, prob_fake=prob, passes=passes, why=why)
