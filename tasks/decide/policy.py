"""The policy: which score clears, which flags, and what only people may decide.

The rules as pydantic models; `policy_file` reads them and `decide` applies them. A policy is
identified by its rules, not by its bytes: comments, order and spacing of a file do not change
`policy_id`.
"""

from __future__ import annotations

import decimal
import hashlib
import json
from typing import Annotated, Any, Final, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError
from scipy.special import expit, logit

NAME_MAX_CHARS: Final = 64
# Larger than any image that is decoded.
MAX_EDGE_PX: Final = 1_000_000
REFUSED: Final = "refused"
"""Type of the errors of rules over two values; their text is what is allowed."""
MISSING: Final = "missing"
"""Type of the error of a value that is not there, as pydantic calls it."""

_TWO_DIGITS: Final = decimal.Context(prec=2, rounding=decimal.ROUND_CEILING)

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class _Rules(BaseModel):
    """Rules by name; nothing else is allowed beside them, and nothing is converted."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Band(_Rules):
    """Two thresholds on the score, 0 <= review_at <= flag_at <= 1; equal means no review band."""

    review_at: Share = Field(description="Score at or above which an image goes to review.")
    flag_at: Share = Field(description="Score at or above which an image is flagged.")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        _check_order(self.review_at, self.flag_at)
        return self


class DetectorRules(_Rules):
    """The thresholds of one detector; it may leave out its own and name domains only."""

    review_at: Share | None = Field(default=None, description="Threshold of review, any domain.")
    flag_at: Share | None = Field(default=None, description="Threshold of flag, any domain.")
    domains: dict[str, Band] = Field(default={}, description="Thresholds by domain.")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        for name, own, other in (
            ("review_at", self.review_at, self.flag_at),
            ("flag_at", self.flag_at, self.review_at),
        ):
            if own is None and other is not None:
                raise PydanticCustomError(MISSING, "{name}", {"name": name})
        if self.review_at is not None and self.flag_at is not None:
            _check_order(self.review_at, self.flag_at)
        return self

    @property
    def band(self) -> Band | None:
        """The detector's own thresholds; None when it names domains only."""
        if self.review_at is None or self.flag_at is None:
            return None
        return Band(review_at=self.review_at, flag_at=self.flag_at)


class Policy(_Rules):
    """Every rule by which a score becomes a decision."""

    name: str = Field(
        pattern=rf"^[A-Za-z0-9][A-Za-z0-9._-]{{0,{NAME_MAX_CHARS - 1}}}$",
        description="Name of the policy, kept in every decision.",
    )
    min_short_edge_px: int = Field(
        ge=0,
        le=MAX_EDGE_PX,
        description="Short edge below which an image goes to review whatever its score.",
    )
    unlisted_domain: Literal["default", "review"] = Field(
        description="How an image is decided whose domain has no thresholds of its own: by the "
        "detector's general ones, or by people."
    )
    default: Band = Field(description="Thresholds for every detector without a table of its own.")
    detectors: dict[str, DetectorRules] = Field(
        default={}, description="Thresholds by the detector's name or its whole id, which wins."
    )

    @property
    def policy_id(self) -> str:
        """`name@` and 12 hex digits of the sha256 of the rules."""
        rules = json.dumps(self.as_dict(), sort_keys=True, separators=(",", ":"))
        return f"{self.name}@{hashlib.sha256(rules.encode()).hexdigest()[:12]}"

    def band(self, detector: str, domain: str | None = None) -> tuple[Band, bool]:
        """The thresholds that hold, and whether they are the domain's own.

        An entry for the whole detector id (`name@revision`) wins over one for its name. The
        flag is True too for a picture without a domain: nothing is missing then.
        """
        rules = self.detectors.get(detector) or self.detectors.get(detector.partition("@")[0])
        general = (rules.band if rules else None) or self.default
        if domain is None:
            return general, True
        own = rules.domains.get(domain) if rules else None
        return (own, True) if own else (general, False)

    def widened(self, drift_logit: float) -> Policy:
        """The same rules with every review band wider by a drift of the logit on both sides.

        A picture whose logit drifts by no more is then never cleared where it would have been
        flagged, nor flagged where it would have been cleared.

        The thresholds 0 and 1 mean always and never, and stay.

        Args:
            drift_logit: 0 or more, infinity too; rounded up to two digits, so that a new
                measurement of the same thing is rarely another policy.

        Raises:
            ValueError: It is negative or NaN.
        """
        if not drift_logit >= 0:
            raise ValueError(f"drift_logit = {drift_logit!r}; allowed: 0 or more")
        if drift_logit == 0:
            return self
        drift = float(_TWO_DIGITS.create_decimal(repr(float(drift_logit))))
        suffix = f"-drift-{drift:g}".replace("+", "")
        return Policy(
            name=self.name[: NAME_MAX_CHARS - len(suffix)] + suffix,
            min_short_edge_px=self.min_short_edge_px,
            unlisted_domain=self.unlisted_domain,
            default=_widened(self.default, drift),
            detectors={
                detector: DetectorRules(
                    **_plain(None if rules.band is None else _widened(rules.band, drift)),
                    domains={name: _widened(band, drift) for name, band in rules.domains.items()},
                )
                for detector, rules in self.detectors.items()
            },
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the rules as plain values; `policy_from_dict` gives an equal policy back."""
        return {
            "name": self.name,
            "min_short_edge_px": self.min_short_edge_px,
            "unlisted_domain": self.unlisted_domain,
            "default": _plain(self.default),
            "detectors": {
                detector: _plain(rules.band)
                | {"domains": {domain: _plain(band) for domain, band in rules.domains.items()}}
                for detector, rules in self.detectors.items()
            },
        }


def _check_order(review_at: float, flag_at: float) -> None:
    if review_at > flag_at:
        raise PydanticCustomError(REFUSED, "review_at above flag_at", {"flag_at": flag_at})


def _widened(band: Band, drift_logit: float) -> Band:
    return Band(
        review_at=_shifted(band.review_at, -drift_logit),
        flag_at=_shifted(band.flag_at, drift_logit),
    )


def _shifted(prob: float, by_logit: float) -> float:
    """Return the probability whose logit is so much larger, as a float32 never short of it.

    0 and 1 stay what they are.
    """
    if prob in {0.0, 1.0}:
        return prob
    end = np.float32(1.0 if by_logit > 0 else 0.0)
    # Scores and thresholds are compared as float32. A step outwards before the move covers what
    # the score lost to rounding, one after it what the threshold does.
    near = float(np.nextafter(np.float32(prob), end))
    if near in {0.0, 1.0}:
        return near
    return float(np.nextafter(np.float32(expit(logit(near) + by_logit)), end))


def _plain(band: Band | None) -> dict[str, Any]:
    return {} if band is None else {"review_at": band.review_at, "flag_at": band.flag_at}
