"""The promise of thresholds in sentences, and per domain."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ..calibrate.guarantee import Guarantee
from ..pages.captions import visible
from .domains import DomainRow
from .promise import Promise, ThresholdPromise
from .thresholds import NO_DOMAIN, OTHER

LIMITS: Final = (
    "None of this holds for images of another source or domain, for images that were encoded anew,"
    " or once the sources change: calibrate again then."
)
ALL_TOGETHER: Final = "of all domains together"
_DOMAINS_NAMED: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainPromise:
    """What the thresholds of one domain rest on, beside what they decided.

    Attributes:
        row: Figures of the domain.
        flag_at: Score from which images are flagged, as text.
        n_reals: Number of labelled real images of the domain itself; None if it is not known.
        guarantee: Origin of the guarantee, or why there is none, as text.
    """

    row: DomainRow
    flag_at: str
    n_reals: int | None
    guarantee: str


def sentence_of(promise: Promise) -> str:
    """Return the promise as a sentence for people, or why there is none."""
    if promise.calibration_id is None:
        return "No guarantee: these thresholds rest on no labelled images of yours."
    if promise.is_missing:
        return (
            f"No guarantee: the policy names the calibration {promise.calibration_id}, which this"
            " lake does not have."
        )
    if promise.guarantee is None or not promise.thresholds:
        return "No guarantee: the calibration is of another detector than the policy's thresholds."
    first = promise.thresholds[0]
    if not promise.is_given:
        return _why_not(first)
    own = [one for one in promise.thresholds if one.domain is not None and one.state == "holds"]
    if first.domain is None and first.state == "holds":
        words = guarantee_words(promise.guarantee, f"the {first.n_reals:,} calibrated on")
        if not own:
            return words
        each = "" if len(own) == 1 else "each of "
        return f"{words} It holds for {each}{_named(own)} by itself too."
    words = guarantee_words(promise.guarantee, "those calibrated on")
    rest = "" if first.domain is not None else f" Elsewhere: {_why_not(first)}"
    return f"In {_named(own)}: {words[0].lower()}{words[1:]}{rest}"


def guarantee_words(guarantee: Guarantee, reals: str) -> str:
    """Return a guarantee in numbers of images.

    Args:
        guarantee: Guarantee of the flags.
        reals: Name of the real images that it rests on.
    """
    of, most = _whole_numbers(guarantee.level)
    are = "is" if most == 1 else "are"
    if guarantee.confidence is None:
        return (
            f"Of {of:,} images flagged in a batch, at most {most:,} on average {are} real, where"
            f" its real images are like {reals}."
        )
    return (
        f"Of {of:,} real images like {reals}, at most {most:,} on average {are} flagged by the"
        f" score; this holds with {100 * guarantee.confidence:g} % confidence."
    )


def flagged_words(promise: Promise, n_images: int, n_flagged: int) -> str:
    """Return how many of the flagged images of a run are real at most; empty if that is not known.

    Args:
        promise: Promise of the policy.
        n_images: Number of images with a score.
        n_flagged: Number of flagged images; a bound that is not below it is left out.
    """
    # With several thresholds, each bound is of the images of its own domain.
    if len(promise.thresholds) != 1 or not n_flagged:
        return ""
    most = promise.thresholds[0].most_real(n_images)
    if most is None or most >= n_flagged:
        return ""
    are = "is" if most == 1 else "are"
    return (
        f"Of the images that their score flagged here, at most {most:,} {are} real, with"
        " 95 % confidence, if no images are copies of others."
    )


def by_domain(promise: Promise, rows: Sequence[DomainRow]) -> list[DomainPromise]:
    """Return what the thresholds of each domain rest on.

    Args:
        promise: Promise of the policy.
        rows: Figures per domain; see `Domains.rows`.
    """
    of = {one.domain: one for one in promise.thresholds}
    return [_of_domain(promise, row, of) for row in rows]


def _of_domain(
    promise: Promise, row: DomainRow, of: dict[str | None, ThresholdPromise]
) -> DomainPromise:
    name = None if row.name == NO_DOMAIN else row.name
    if row.name == OTHER:
        return DomainPromise(row=row, flag_at="several", n_reals=None, guarantee="see the policy")
    own = of.get(name)
    used = own or of.get(None)
    n_few = promise.too_few.get(row.name)
    n_reals = n_few if n_few is not None else own.n_reals if own and name else None
    if name is not None and own is None and promise.leaves_others:
        return DomainPromise(row=row, flag_at="none", n_reals=n_reals, guarantee="left to people")
    if used is None:
        return DomainPromise(row=row, flag_at="", n_reals=n_reals, guarantee="none: not calibrated")
    text = {"holds": "its own", "no_flag": "no flag", "broken": "does not hold"}[used.state]
    if used.state == "holds" and (name is None or own is None or n_few is not None):
        text = ALL_TOGETHER
    flag_at = "none" if used.state == "no_flag" else "p-values"
    return DomainPromise(
        row=row,
        flag_at=flag_at if used.flag_at is None else f"{used.flag_at:.4g}",
        n_reals=n_reals,
        guarantee=text,
    )


def _why_not(one: ThresholdPromise) -> str:
    if one.state == "no_flag":
        return f"No image is flagged by its score alone: {one.why}."
    return f"No guarantee: {one.why}."


def _named(own: Sequence[ThresholdPromise]) -> str:
    names = [visible(str(one.domain)) for one in own]
    more = len(names) - _DOMAINS_NAMED
    listed = ", ".join(names[:_DOMAINS_NAMED]) + (f" and {more} more" if more > 0 else "")
    return f"the domain {listed}" if len(names) == 1 else f"the domains {listed}"


def _whole_numbers(level: float) -> tuple[int, int]:
    """Return a number of images and how many of them a share is: 100 and 5, or 1,000 and 1."""
    of = 100
    while abs(level * of - round(level * of)) > 1e-9 and of < 10_000:
        of *= 10
    return of, math.ceil(level * of - 1e-9)
