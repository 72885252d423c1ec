"""The policy: thresholds of clear, review and flag, and the cases that require human review.

The rules are pydantic models; `policy_file` reads them and `decide` applies them. A policy is
identified by its rules, not by the bytes of its file: comments, order and spacing do not change
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
# Longer than the edge of any image that is decoded.
MAX_EDGE_PX: Final = 1_000_000
REFUSED: Final = "refused"
"""Type of the error of a rule over two values."""
MISSING: Final = "missing"
"""Type that pydantic gives to the error of a missing value."""

_TWO_DIGITS: Final = decimal.Context(prec=2, rounding=decimal.ROUND_CEILING)

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]

_MAY_FLAG: Final = (
    "Whether a score may flag without a person; if not, images at or above `flag_at` go to review."
)


class _Rules(BaseModel):
    """Base of the models of rules: unknown keys are refused, and values are not converted."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Band(_Rules):
    """Two thresholds on the score, 0 <= review_at <= flag_at <= 1; equal ones leave no band."""

    review_at: Share = Field(description="Score at or above which an image goes to review.")
    flag_at: Share = Field(description="Score at or above which an image is flagged.")
    may_flag: bool = Field(default=True, description=_MAY_FLAG)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        _check_order(self.review_at, self.flag_at)
        return self


class DetectorRules(_Rules):
    """The thresholds of one detector: its own, thresholds per domain, or both."""

    review_at: Share | None = Field(
        default=None, description="Threshold of review, for every domain without its own."
    )
    flag_at: Share | None = Field(
        default=None, description="Threshold of flag, for every domain without its own."
    )
    may_flag: bool = Field(default=True, description=_MAY_FLAG)
    domains: dict[str, Band] = Field(default={}, description="Thresholds per domain.")

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
        """Thresholds of the detector itself; None if it has thresholds per domain only."""
        if self.review_at is None or self.flag_at is None:
            return None
        return Band(review_at=self.review_at, flag_at=self.flag_at, may_flag=self.may_flag)


class PixelRules(_Rules):
    """What the pixels of an image must show for its score to count; a rule without a value is off.

    A measure that is null is unknown and breaks no rule.
    """

    min_detail: Share | None = Field(
        default=None,
        description="Detail (`measures.detail`) below which an image was enlarged and goes to "
        "review, whatever its score; 0.38 is measured in docs/decisions.md.",
    )
    min_jpeg_quality: Annotated[int, Field(ge=1, le=100)] | None = Field(
        default=None,
        description="JPEG quality below which an image goes to review, whatever its score.",
    )
    min_bits_per_pixel: Annotated[float, Field(gt=0, le=64, allow_inf_nan=False)] | None = Field(
        default=None,
        description="Bits per pixel below which a JPEG, WEBP or AVIF image goes to review, "
        "whatever its score.",
    )
    graphics: Literal["judge", "review"] = Field(
        default="judge",
        description="Rule for graphics, by flat areas and few colours: `judge` decides them as "
        "photos, `review` leaves their flags to people.",
    )


class OutOfDomain(_Rules):
    """What becomes of images that are unlike the labelled images of the policy's calibration.

    An image without an embedding, or whose scores are of another score key, breaks no rule.
    """

    level: Annotated[float, Field(gt=0, lt=1)] = Field(
        description="P-value (`decisions.p_domain`) at or below which an image is out of domain: "
        "on average this share of the real images that are like the labelled ones.",
    )
    clears: Literal["keep", "review"] = Field(
        default="keep",
        description="Rule for such images below `review_at`: `keep` clears them, `review` leaves "
        "them to people. Their flags are left to people in either case.",
    )


class Policy(_Rules):
    """The rules that turn a score into a decision."""

    name: str = Field(
        pattern=rf"^[A-Za-z0-9][A-Za-z0-9._-]{{0,{NAME_MAX_CHARS - 1}}}$",
        description="Name of the policy, recorded in every decision.",
    )
    min_short_edge_px: int = Field(
        ge=0,
        le=MAX_EDGE_PX,
        description="Short edge in px below which an image goes to review, whatever its score.",
    )
    unlisted_domain: Literal["default", "review"] = Field(
        description="Rule for images whose domain has no thresholds of its own: `default` takes "
        "the detector's thresholds, `review` requires human review."
    )
    default: Band = Field(description="Thresholds for every detector without its own.")
    detectors: dict[str, DetectorRules] = Field(
        default={},
        description="Thresholds per detector, by its name or its id name@revision; the id wins.",
    )
    copies: Literal["alone", "together"] = Field(
        default="alone",
        description="Rule for near-duplicates: `alone` decides each image by itself, `together` "
        "gives a group the decision of a reviewed member, or of its best preserved one.",
    )
    pixels: PixelRules | None = Field(
        default=None, description="Rules on what the pixels of an image show; none without them."
    )
    out_of_domain: OutOfDomain | None = Field(
        default=None,
        description="Rule for images that are unlike those of the calibration; none without it.",
    )
    calibration: str | None = Field(
        default=None,
        pattern=r"^c-[0-9a-f]{12}$",
        description="Id of a calibration of the lake, which gives decisions their p-values and "
        "calibrated probabilities.",
    )
    fdr: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        default=None,
        description="Mean share of real images among the flagged images of a batch. The flags of a "
        "batch then follow from the p-values of its images instead of `flag_at`.",
    )

    @model_validator(mode="after")
    def _has_p_values(self) -> Self:
        needs_calibration = self.fdr is not None or self.out_of_domain is not None
        if needs_calibration and self.calibration is None:
            raise PydanticCustomError(MISSING, "calibration", {"name": "calibration"})
        return self

    @property
    def policy_id(self) -> str:
        """Identity of the rules: `name@` and 12 hexadecimal digits of their SHA-256."""
        rules = json.dumps(self.as_dict(), sort_keys=True, separators=(",", ":"))
        return f"{self.name}@{hashlib.sha256(rules.encode()).hexdigest()[:12]}"

    def rules_of(self, detector: str) -> DetectorRules | None:
        """Return the rules for a detector, by its id or else its name; None without any."""
        return self.detectors.get(detector) or self.detectors.get(detector.partition("@")[0])

    def band(self, detector: str, domain: str | None = None) -> tuple[Band, bool]:
        """Return the thresholds that apply, and whether the policy lists the domain.

        Args:
            detector: Id of the detector, `name@revision`; an entry for the id wins over one for
                the name.
            domain: Domain of the image; None counts as listed.
        """
        rules = self.rules_of(detector)
        general = (rules.band if rules else None) or self.default
        if domain is None:
            return general, True
        own = rules.domains.get(domain) if rules else None
        return (own, True) if own else (general, False)

    def widened(self, drift_logit: float) -> Policy:
        """Return the policy with every review band widened by a drift of the logit on both sides.

        An image whose logit drifts by no more than that is never cleared instead of flagged, nor
        flagged instead of cleared. The thresholds 0 (always) and 1 (never) do not move.

        Args:
            drift_logit: Drift in logits, 0 to infinity; rounded up to two significant digits, so
                that a repeated measurement rarely gives another policy.

        Raises:
            ValueError: The drift is negative or NaN.
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
            copies=self.copies,
            pixels=self.pixels,
            out_of_domain=self.out_of_domain,
            calibration=self.calibration,
            fdr=self.fdr,
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the rules as plain values, from which `policy_from_dict` makes an equal policy.

        Rules that a policy of an earlier version could not have are left out at their defaults,
        so that such a policy keeps its identity.
        """
        pixels = None if self.pixels is None else self.pixels.model_dump(exclude_none=True)
        copies = None if self.copies == "alone" else self.copies
        later = {
            "copies": copies,
            "pixels": pixels,
            "out_of_domain": None
            if self.out_of_domain is None
            else self.out_of_domain.model_dump(),
            "calibration": self.calibration,
            "fdr": self.fdr,
        }
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
        } | {name: value for name, value in later.items() if value is not None}


def _check_order(review_at: float, flag_at: float) -> None:
    if review_at > flag_at:
        raise PydanticCustomError(REFUSED, "review_at above flag_at", {"flag_at": flag_at})


def _widened(band: Band, drift_logit: float) -> Band:
    return Band(
        review_at=_shifted(band.review_at, -drift_logit),
        flag_at=_shifted(band.flag_at, drift_logit),
        may_flag=band.may_flag,
    )


def _shifted(prob: float, by_logit: float) -> float:
    """Return a probability moved by a number of logits, rounded outwards to float32.

    Args:
        prob: Probability in [0, 1]; 0 and 1 do not move.
        by_logit: Number of logits, of either sign.
    """
    if prob in {0.0, 1.0}:
        return prob
    end = np.float32(1.0 if by_logit > 0 else 0.0)
    # Scores and thresholds are compared as float32. One step outwards before the move covers the
    # rounding of the score, one after it the rounding of the threshold.
    near = float(np.nextafter(np.float32(prob), end))
    if near in {0.0, 1.0}:
        return near
    return float(np.nextafter(np.float32(expit(logit(near) + by_logit)), end))


def _plain(band: Band | None) -> dict[str, Any]:
    if band is None:
        return {}
    plain: dict[str, Any] = {"review_at": band.review_at, "flag_at": band.flag_at}
    return plain if band.may_flag else plain | {"may_flag": False}
