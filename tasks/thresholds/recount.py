"""Decisions and rates at two thresholds, from a summary; the page's script counts alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...data.errors import ConfigError
from ...data.schema import Label
from ..evasion.table import wilson
from .summary import Summary

AI_GENERATED = (Label.FAKE.value, Label.LAUNDERED.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """A share with its interval.

    Attributes:
        k: Number of images with the property.
        n: Number of images.
        low: Lower end of the Wilson interval at 95 %; 0 without images.
        high: Upper end; 1 without images.
    """

    k: int
    n: int
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Recount:
    """Decisions and rates at two thresholds.

    Attributes:
        clear: Number of cleared images.
        review: Number of images for review.
        flag: Number of flagged images.
        precision: Share of AI-generated images among flagged ones with a label.
        recall: Share of flagged images among those labelled AI-generated.
        false_positives: Share of flagged images among those labelled real.
    """

    clear: int
    review: int
    flag: int
    precision: Rate
    recall: Rate
    false_positives: Rate


def recount(summary: Summary, *, review_at: float, flag_at: float) -> Recount:
    """Return decisions and rates at two thresholds.

    Args:
        summary: Summary of the images.
        review_at: Threshold of review; one of `summary.steps`.
        flag_at: Threshold of flag; one of `summary.steps`, not below `review_at`.

    Raises:
        ConfigError: A threshold is no step, or they are out of order.
    """
    if not review_at <= flag_at:
        raise ConfigError(f"review from {review_at} and flag from {flag_at}; the lower one first")
    at_review, at_flag = (_step(summary, value) for value in (review_at, flag_at))
    flagged = {
        kind: int(summary.judged[kind][at_flag:].sum() + summary.raised[kind][at_flag:].sum())
        for kind in summary.judged
    }
    n = {
        kind: int(summary.judged[kind].sum() + summary.raised[kind].sum() + summary.fixed[kind])
        for kind in summary.judged
    }
    review = sum(summary.fixed.values())
    for kind in summary.judged:
        review += int(summary.judged[kind][at_review:at_flag].sum())
        review += int(summary.raised[kind][:at_flag].sum())
    if summary.tiles is not None and len(summary.tiles):
        score, tile, count = summary.tiles.T
        review += int(count[(score < at_review) & (tile >= at_flag)].sum())
    flag = sum(flagged.values())
    fake = sum(flagged[kind] for kind in AI_GENERATED)
    real = flagged[Label.REAL.value]
    return Recount(
        clear=sum(n.values()) - review - flag,
        review=review,
        flag=flag,
        precision=rate(fake, fake + real),
        recall=rate(fake, sum(n[kind] for kind in AI_GENERATED)),
        false_positives=rate(real, n[Label.REAL.value]),
    )


def rate(k: int, n: int) -> Rate:
    """Return a share with its Wilson interval at 95 %.

    Source: Wilson 1927 (see `evasion.table.wilson`).

    Args:
        k: Number of images with the property.
        n: Number of images; 0 gives the interval from 0 to 1.
    """
    low, high = wilson(k, n) if n else (0.0, 1.0)
    return Rate(k=k, n=n, low=low, high=high)


def _step(summary: Summary, value: float) -> int:
    at = int(np.searchsorted(summary.steps, value))
    if at >= len(summary.steps) or summary.steps[at] != value:
        raise ConfigError(f"{value} is no step of this summary; allowed: multiples of 0.0001")
    return at
