"""The promise of thresholds in sentences: one statement, wherever it is read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ..calibrate.guarantee import LIMITS
from ..pages.captions import visible
from .promise import Promise, ThresholdPromise

_DOMAINS_NAMED: Final = 5


def statement_of(promise: Promise) -> str:
    """Return the whole promise for people: what holds, and for which images it does not."""
    sentence = sentence_of(promise)
    return f"{sentence} {LIMITS}" if promise.is_given else sentence


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
        words = promise.guarantee.of_all(first.n_reals)
        if not own:
            return words
        each = "" if len(own) == 1 else "each of "
        return f"{words} It holds for {each}{_named(own)} by itself too."
    words = promise.guarantee.sentence("those calibrated on")
    rest = "" if first.domain is not None else f" Elsewhere: {_why_not(first)}"
    return f"In {_named(own)}: {words[0].lower()}{words[1:]}{rest}"


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


def _why_not(one: ThresholdPromise) -> str:
    if one.state == "no_flag":
        return f"No image is flagged by its score alone: {one.why}."
    return f"No guarantee: {one.why}."


def _named(own: Sequence[ThresholdPromise]) -> str:
    names = [visible(str(one.domain)) for one in own]
    more = len(names) - _DOMAINS_NAMED
    listed = ", ".join(names[:_DOMAINS_NAMED]) + (f" and {more} more" if more > 0 else "")
    return f"the domain {listed}" if len(names) == 1 else f"the domains {listed}"
