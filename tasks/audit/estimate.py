"""What an audit says of all images: fakes per stratum, prevalence, precision and recall.

Limits are exact for samples without replacement: the numbers of fakes of a stratum that a
two-sided hypergeometric test does not reject. For figures of several strata, each stratum has
limits of a higher confidence (Bonferroni), so that all hold at once and any combination of them is
covered. Images without a label may be real or fake: the lower limit takes them for real, the upper
one for fake.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ...data.vocabulary import Decision
from ..proportion import Interval

_CLEAR, _REVIEW, _FLAG = (decision.value for decision in Decision)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stratum:
    """A stratum of an audit.

    Attributes:
        n_all: Number of images of the stratum.
        n_drawn: Number of images drawn.
        n_labelled: Number of those with a label.
        n_fake: Number of those labelled fake.
    """

    n_all: int
    n_drawn: int
    n_labelled: int
    n_fake: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What an audit says of all images; None where there is nothing to say it of.

    Attributes:
        fakes: Share of fakes per decision, each with an interval of its own.
        prevalence: Share of fakes among all images.
        precision: Share of fakes among the flagged.
        recall: Share of the fakes that is flagged.
        found: Share of the fakes that is flagged or sent to review.
    """

    fakes: Mapping[str, Interval]
    prevalence: Interval | None
    precision: Interval | None
    recall: Interval | None
    found: Interval | None

    def to_json(self) -> dict[str, Any]:
        """Return the figures as JSON-ready values."""
        return asdict(self)


def fakes_of(stratum: Stratum, *, confidence: float) -> tuple[int, float, int]:
    """Return the lowest, estimated and highest number of fakes of a stratum.

    Args:
        stratum: Counts of the stratum.
        confidence: Coverage of the limits, in (0, 1).
    """
    n_unknown = stratum.n_drawn - stratum.n_labelled
    tail = (1 - confidence) / 2
    low = _lowest(stratum.n_all, stratum.n_drawn, stratum.n_fake, tail)
    high = stratum.n_all - _lowest(
        stratum.n_all, stratum.n_drawn, stratum.n_drawn - stratum.n_fake - n_unknown, tail
    )
    share = stratum.n_fake / stratum.n_labelled if stratum.n_labelled else 0.5
    return low, min(max(share * stratum.n_all, low), high), high


def _lowest(n_all: int, n_drawn: int, k: int, tail: float) -> int:
    """Return the lowest number of fakes with which k or more of them are drawn often enough.

    Args:
        n_all: Number of images.
        n_drawn: Number of images drawn.
        k: Number of fakes drawn.
        tail: Probability that is too low, in (0, 1).
    """
    # Every run imports this module and few call this; scipy.stats takes half a second to load.
    from scipy.stats import hypergeom

    low, high = k, n_all - (n_drawn - k)
    while low < high:
        middle = (low + high) // 2
        if hypergeom.sf(k - 1, n_all, middle, n_drawn) > tail:
            high = middle
        else:
            low = middle + 1
    return low


def estimate(strata: Mapping[str, Stratum], *, confidence: float = 0.95) -> Estimate:
    """Return what an audit says of all images.

    Args:
        strata: Counts by decision, of decisions with images.
        confidence: Coverage of each interval, in (0, 1).
    """
    own = {name: fakes_of(one, confidence=confidence) for name, one in strata.items()}
    # With limits of 1 - (1 - confidence) / m in m strata, all hold at once with the confidence.
    together = 1 - (1 - confidence) / max(len(strata), 1)
    all_ = {name: fakes_of(one, confidence=together) for name, one in strata.items()}
    n_all = sum(one.n_all for one in strata.values())

    def parts(*names: str) -> tuple[float, float, float]:
        chosen = [all_[name] for name in names if name in all_]
        return (
            sum(low for low, _, _ in chosen),
            sum(value for _, value, _ in chosen),
            sum(high for _, _, high in chosen),
        )

    return Estimate(
        fakes={
            name: Interval(
                value=value / strata[name].n_all,
                low=low / strata[name].n_all,
                high=high / strata[name].n_all,
            )
            for name, (low, value, high) in own.items()
        },
        prevalence=_divided(parts(_CLEAR, _REVIEW, _FLAG), n_all),
        precision=_divided(own[_FLAG], strata[_FLAG].n_all) if _FLAG in own else None,
        recall=_share(parts(_FLAG), parts(_CLEAR, _REVIEW)),
        found=_share(parts(_FLAG, _REVIEW), parts(_CLEAR)),
    )


def _divided(fakes: tuple[float, float, float], n_all: int) -> Interval | None:
    if not n_all:
        return None
    low, value, high = fakes
    return Interval(value=value / n_all, low=low / n_all, high=high / n_all)


def _share(
    found: tuple[float, float, float], missed: tuple[float, float, float]
) -> Interval | None:
    """Return found / (found + missed), which rises with one and falls with the other."""

    def share(a: float, b: float) -> float | None:
        return a / (a + b) if a + b else None

    low, value, high = (
        share(found[0], missed[2]),
        share(found[1], missed[1]),
        share(found[2], missed[0]),
    )
    if high is None:
        return None  # not a single fake is possible
    return Interval(value=high if value is None else value, low=low or 0.0, high=high)
