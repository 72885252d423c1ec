"""Thresholds of one set of labelled images, and how they do on its fakes. Pure functions."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from ..proportion import Interval, share
from .guarantee import Guarantee
from .precision import precision_at
from .umbrella import reals_needed, threshold

PREVALENCES: Final = (0.01, 0.1, 0.5)
"""Shares of fakes at which the precision of a flag is stated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Thresholds on the score, and their measures.

    Attributes:
        n_reals: Number of real images.
        n_fakes: Number of fake images.
        reals_needed: Number of real images from which the guarantee can be given.
        review_at: Score at or above which an image goes to review.
        flag_at: Score at or above which an image is flagged; None if none is by its score.
        why_no_flag: Reason why no image is flagged by its score; None if some are.
        found: Share of the labelled fakes at or above `flag_at`; None without fakes or threshold.
        precision: Precision of a flag by share of fakes among all images; empty without `found`.
    """

    n_reals: int
    n_fakes: int
    reals_needed: int
    review_at: float
    flag_at: float | None
    why_no_flag: str | None
    found: Interval | None
    precision: dict[str, Interval]

    def to_json(self) -> dict[str, Any]:
        """Return the thresholds as JSON-ready values."""
        return asdict(self)


def thresholds_of(
    real_logits: NDArray[np.float32],
    fake_logits: NDArray[np.float32],
    guarantee: Guarantee,
    *,
    review_share: float,
    review_at: float,
) -> Thresholds:
    """Return the thresholds of a guarantee.

    Args:
        real_logits: Logits of the real images, ascending, shape (N,).
        fake_logits: Logits of the fake images, shape (M,).
        guarantee: Guarantee of the flag.
        review_share: Share of real images that go to review or are flagged, on average, in (0, 1).
        review_at: Score of review where the reals are too few for that share.

    Returns:
        Under a guarantee of the kind `fdr`, `flag_at` is None: flags then follow from the p-values
        of each batch.
    """
    n_needed = needed(guarantee)
    flag_at, why_no_flag = None, None
    if len(real_logits) < n_needed:
        why_no_flag = (
            f"{guarantee} needs {n_needed:,} labelled real images, {len(real_logits):,} are there:"
            f" label {n_needed - len(real_logits):,} more"
        )
    elif guarantee.confidence is not None:
        limit = threshold(real_logits, guarantee.level, guarantee.confidence)
        flag_at = None if limit is None else _just_above(limit)
        if flag_at is not None and flag_at > 1:
            flag_at = None
            why_no_flag = "real images have the score 1, and no score is above it"
    if (rank := _rank_of_share(len(real_logits), review_share)) is not None:
        review_at = min(_just_above(real_logits[rank - 1]), 1.0)
    if flag_at is not None:
        review_at = min(review_at, flag_at)
    found, precision = None, {}
    if flag_at is not None and len(fake_logits):
        n_found = int((scores_of(fake_logits) >= np.float32(flag_at)).sum())
        n_wrong = int((scores_of(real_logits) >= np.float32(flag_at)).sum())
        found = share(n_found, len(fake_logits))
        precision = {
            f"{prevalence:g}": precision_at(
                prevalence,
                n_fakes=len(fake_logits),
                n_fakes_flagged=n_found,
                n_reals=len(real_logits),
                n_reals_flagged=n_wrong,
            )
            for prevalence in PREVALENCES
        }
    return Thresholds(
        n_reals=len(real_logits),
        n_fakes=len(fake_logits),
        reals_needed=n_needed,
        review_at=review_at,
        flag_at=flag_at,
        why_no_flag=why_no_flag,
        found=found,
        precision=precision,
    )


def needed(guarantee: Guarantee) -> int:
    """Return the number of real images from which a guarantee lets anything be flagged.

    Under `fdr` it is the number at which the lowest p-value, 1 / (n + 1), is the level itself: a
    batch in which every image is fake is then flagged. Few fakes in a batch need more.
    """
    if guarantee.confidence is None:
        return int(np.ceil(1 / guarantee.level)) - 1
    return reals_needed(guarantee.level, guarantee.confidence)


def _rank_of_share(n_reals: int, review_share: float) -> int | None:
    """Return the rank of the lowest real above which a p-value is at most a share; None: none is.

    A score strictly above the k-th of n reals has a p-value of (n - k + 1) / (n + 1).
    """
    rank = int(np.ceil(n_reals + 1 - review_share * (n_reals + 1) - 1e-9))
    return rank if 1 <= rank <= n_reals else None


def scores_of(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the scores of logits as the tables hold them."""
    scores: NDArray[np.float32] = expit(logits.astype(np.float64)).astype(np.float32)
    return scores


def _just_above(logit: np.float32) -> float:
    """Return the lowest float32 score strictly above that of a logit.

    Scores are compared as float32. Where the score of the logit is 1, the next number is above 1:
    no image can be flagged.
    """
    return float(np.nextafter(scores_of(np.asarray([logit]))[0], np.float32(2)))
