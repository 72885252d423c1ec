"""Conditions of the grid: what a person may filter by, read from an address and written to one.

Text is data: a substring is looked for literally, and no condition reaches a query language.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ...data.errors import ConfigError
from ...data.text.wording import did_you_mean
from ...data.vocabulary import Decision, DecisionReason
from .columns import STATES

NONE: Final = "none"
"""Value that selects images without a decision or a domain."""
MAX_VALUES: Final = 50
MAX_CHARS: Final = 500
_DECISIONS: Final = (*(decision.value for decision in Decision), NONE)
_REASONS: Final = tuple(reason.value for reason in DecisionReason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """Conditions on images; all must hold, and several values of one are alternatives.

    Attributes:
        decision: `clear`, `review`, `flag`, or `none`.
        reason: Words of `DecisionReason`.
        domain: Names of domains, or `none`.
        label: Words of `columns.STATES`.
        source: Beginning of the address of the item.
        text: Part of the address or of the id, in any case.
        score_from: Lowest score, inclusive.
        score_to: Highest score, inclusive.
        since: Earliest time of the latest sighting, inclusive.
        before: Time that the latest sighting is before.
    """

    decision: tuple[str, ...] = ()
    reason: tuple[str, ...] = ()
    domain: tuple[str, ...] = ()
    label: tuple[str, ...] = ()
    source: str | None = None
    text: str | None = None
    score_from: float | None = None
    score_to: float | None = None
    since: datetime | None = None
    before: datetime | None = None

    @property
    def last_day(self) -> date | None:
        """Last day of the time range; None without an end."""
        return None if self.before is None else (self.before - timedelta(microseconds=1)).date()

    def each(self, table: pl.DataFrame) -> dict[str, pl.Expr]:
        """Return the conditions by name of the filter; none of them is ever null.

        Args:
            table: Table in `columns.SCHEMA`, whose categories are looked up.
        """
        made: dict[str, pl.Expr] = {}
        if self.decision:
            made["decision"] = _is_any("decision", self.decision)
        if self.domain:
            made["domain"] = _is_any("domain", self.domain)
        if self.label:
            made["label"] = pl.col("label").is_in(list(self.label))
        if self.reason:
            joined = table["reasons"].unique().drop_nulls().to_list()
            fitting = [words for words in joined if not set(self.reason).isdisjoint(words.split())]
            made["reason"] = pl.col("reasons").is_in(fitting)
        uri = pl.col("source_uri")
        if self.source is not None:
            made["source"] = uri.str.starts_with(self.source)
        if self.text is not None:
            words = self.text.lower()
            is_id = pl.col("image_id").str.starts_with(words)
            made["text"] = (
                uri.str.contains_any([self.text], ascii_case_insensitive=True).fill_null(
                    value=False
                )
                | is_id
            )
        if self.score_from is not None or self.score_to is not None:
            # Scores are float32: an end that was shown rounds to the score that it was shown for.
            ends = [0.0 if self.score_from is None else self.score_from]
            ends.append(1.0 if self.score_to is None else self.score_to)
            low, high = (pl.lit(float(np.float32(end)), dtype=pl.Float32) for end in ends)
            made["score"] = pl.col("prob_fake").is_between(low, high)
        if self.since is not None:
            made["since"] = pl.col("seen_at") >= self.since
        if self.before is not None:
            made["before"] = pl.col("seen_at") < self.before
        return {name: condition.fill_null(value=False) for name, condition in made.items()}

    def as_query(self) -> list[tuple[str, str]]:
        """Return the names and values in an address, which `conditions_of` reads back."""
        pairs = [
            (name, value)
            for name in ("decision", "reason", "domain", "label")
            for value in getattr(self, name)
        ]
        pairs += [
            (n, v) for n, v in (("source", self.source), ("text", self.text)) if v is not None
        ]
        if self.score_from is not None:
            pairs.append(("score_from", repr(self.score_from)))
        if self.score_to is not None:
            pairs.append(("score_to", repr(self.score_to)))
        for name, at in (("since", self.since), ("before", self.before)):
            if at is not None:
                pairs.append((name, at.isoformat()))
        return pairs


Met = Mapping[str, NDArray[np.bool_]]
"""Whether each row of a table meets each condition, by the name of the filter."""


def met_by(table: pl.DataFrame, conditions: Conditions) -> Met:
    """Return whether each row of a table meets each condition."""
    frame = table.select(**conditions.each(table))
    return {name: frame[name].to_numpy() for name in frame.columns}


NAMES: Final = (
    "decision",
    "reason",
    "domain",
    "label",
    "source",
    "text",
    "score_from",
    "score_to",
    "since",
    "before",
)
"""Names of the conditions in an address."""


def conditions_of(query: Mapping[str, Sequence[str]]) -> Conditions:
    """Return the conditions of an address; empty values count as absent.

    Args:
        query: Values by name; names that are no condition are ignored.

    Raises:
        ConfigError: A value is not allowed; the message says what is.
    """
    given = {name: tuple(v for v in query.get(name, ()) if v.strip()) for name in NAMES}
    for name, values in given.items():
        if len(values) > MAX_VALUES:
            raise ConfigError(f"{name} has {len(values)} values; allowed: up to {MAX_VALUES}")
        for value in values:
            if len(value) > MAX_CHARS:
                raise ConfigError(
                    f"{name} has {len(value):,} characters; allowed: up to {MAX_CHARS}"
                )
    low, high = (_score(name, given[name]) for name in ("score_from", "score_to"))
    if low is not None and high is not None and low > high:
        raise ConfigError(f"score_from is {low} and score_to is {high}; give the lower one first")
    since, before = (_time(name, given[name]) for name in ("since", "before"))
    if since is not None and before is not None and since >= before:
        raise ConfigError(f"since is {since:%Y-%m-%d %H:%M} and not earlier than the end")
    return Conditions(
        decision=_words("decision", given["decision"], _DECISIONS),
        reason=_words("reason", given["reason"], _REASONS),
        domain=tuple(dict.fromkeys(given["domain"])),
        label=_words("label", given["label"], STATES),
        source=_single("source", given["source"]),
        text=_single("text", given["text"]),
        score_from=low,
        score_to=high,
        since=since,
        before=before,
    )


def _words(name: str, values: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    for value in values:
        if value not in known:
            raise ConfigError(
                f"{name} is {value[:80]!r}{did_you_mean(value[:80], known)};"
                f" allowed: {', '.join(known)}"
            )
    return tuple(dict.fromkeys(values))


def _single(name: str, values: Sequence[str]) -> str | None:
    if len(values) > 1:
        raise ConfigError(f"{name} is given {len(values)} times; allowed: once")
    return values[0] if values else None


def _score(name: str, values: Sequence[str]) -> float | None:
    text = _single(name, values)
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise ConfigError(f"{name} is {text[:80]!r}; allowed: a number from 0 to 1, such as 0.35")
    return value


def _time(name: str, values: Sequence[str]) -> datetime | None:
    """Return a time in UTC; a date alone is its first moment, for `before` the end of the day."""
    text = _single(name, values)
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text.strip())
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        if name == "before" and len(text.strip()) == len("2026-03-01"):
            at += timedelta(days=1)
        return at.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ConfigError(
            f"{name} is {text[:80]!r}; allowed: a date such as 2026-03-01, or a time in ISO 8601"
        ) from error


def _is_any(column: str, values: Sequence[str]) -> pl.Expr:
    wanted = [value for value in values if value != NONE]
    condition = pl.col(column).is_in(wanted).fill_null(value=False)
    return condition | pl.col(column).is_null() if NONE in values else condition
