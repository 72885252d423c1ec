"""Filters of images: decision, reason, domain, label, score range and time."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import polars as pl

from ...data.errors import ConfigError
from ...data.text.wording import did_you_mean
from ...data.vocabulary import DecisionReason

NONE: Final = "none"
"""Value that selects images without a decision, a domain or a label."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Conditions on images; all must hold, and several values of one condition are alternatives.

    Attributes:
        decisions: `clear`, `review`, `flag`, or `none`.
        reasons: Words of `DecisionReason`.
        domains: Names of domains, or `none`.
        labels: `real`, `fake`, `laundered`, or `none`.
        score: Lowest and highest score, both inclusive.
        since: Earliest time of the latest sighting.
    """

    decisions: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    score: tuple[float, float] | None = None
    since: datetime | None = None

    def where(self) -> pl.Expr:
        """Return the condition on the columns of `known_images`."""
        parts = [pl.lit(value=True)]
        for column, values in (
            ("decision", self.decisions),
            ("domain", self.domains),
            ("label", self.labels),
        ):
            if values:
                parts.append(_is_any(column, values))
        if self.reasons:
            wanted = pl.lit(pl.Series(list(self.reasons)).implode())
            parts.append(pl.col("reasons").list.set_intersection(wanted).list.len() > 0)
        if self.score is not None:
            parts.append(pl.col("prob_fake").is_between(*self.score))
        if self.since is not None:
            parts.append(pl.col("seen_at") >= self.since)
        return pl.all_horizontal(parts)

    def columns(self) -> set[str]:
        """Return the columns that the condition reads."""
        asked = {
            "decision": self.decisions,
            "reasons": self.reasons,
            "domain": self.domains,
            "label": self.labels,
            "prob_fake": self.score,
            "seen_at": self.since,
        }
        return {name for name, value in asked.items() if value}

    @property
    def is_empty(self) -> bool:
        """Whether there is no condition."""
        return self == Filters()


def check_reasons(reasons: Iterable[str]) -> tuple[str, ...]:
    """Return the reasons after checking each against `DecisionReason`.

    Raises:
        ConfigError: A reason is unknown.
    """
    known = [reason.value for reason in DecisionReason]
    words = tuple(reasons)
    for word in words:
        if word not in known:
            raise ConfigError(
                f"--reason is {word!r}{did_you_mean(word, known)}; allowed: {', '.join(known)}"
            )
    return words


def score_range(text: str) -> tuple[float, float]:
    """Return the lowest and the highest score of a range such as `0.4..0.9`, `0.9..` or `..0.1`.

    Raises:
        ConfigError: The text is no such range within 0 and 1.
    """
    low, dots, high = text.strip().partition("..")
    try:
        ends = float(low or 0), float(high or 1)
    except ValueError:
        ends = math.nan, math.nan
    if not dots or not (low or high) or not 0 <= ends[0] <= ends[1] <= 1:
        raise ConfigError(
            f"--score is {text!r}; allowed: a range within 0 and 1, such as 0.4..0.9, 0.9.., ..0.1"
        )
    return ends


def _is_any(column: str, values: tuple[str, ...]) -> pl.Expr:
    named: Any = [value for value in values if value != NONE]
    condition = pl.col(column).is_in(named)
    return condition.fill_null(value=False) | (
        pl.col(column).is_null() if NONE in values else pl.lit(value=False)
    )
