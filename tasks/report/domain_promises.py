"""What the thresholds of each domain rest on, beside what they decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ..promise.promise import Promise, ThresholdPromise
from .domains import DomainRow
from .thresholds import NO_DOMAIN, OTHER

ALL_TOGETHER: Final = "of all domains together"


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
