"""What the thresholds of a policy promise: the guarantee, the precision of a flag, reliability.

All figures are those of the calibration that the run's policy names, and of the newest audit of
the lake. A policy that flags from lower scores than the calibration, or a run with other scores,
has no guarantee, and the promise says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

import numpy as np

from ...data.commands import command
from ...data.errors import ConfigError
from ...data.score_key import ScoreKey
from ...data.store.lake import Lake
from ..audit.audits import Audit, read_audit
from ..audit.estimate import estimate
from ..calibrate.false_share import most_reals_above
from ..calibrate.guarantee import Guarantee, guarantee_of
from ..calibrate.precision import precision_at
from ..calibrate.reliability import Reliability
from ..calibrate.thresholds import scores_of
from ..decide.calibration import POOLED, Calibration, find_calibration
from ..decide.policy import Band, Policy
from ..proportion import Interval, share

PREVALENCES: Final = (0.001, 0.01, 0.1, 0.5)
"""Shares of fakes at which the precision of a flag is stated."""
# Bonferroni: with both limits at 97.5 %, both hold in at least 95 %.
_EACH_OF_TWO: Final = 0.975

State = Literal["holds", "no_flag", "broken"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdPromise:
    """One pair of thresholds of the policy, and what it promises.

    Attributes:
        domain: Domain with thresholds of its own; None for those of all domains together.
        n_reals: Number of labelled real images behind them.
        n_fakes: Number of labelled fake images.
        flag_at: Score from which the policy flags; None where flags follow from p-values, or where
            nothing is flagged by its score alone.
        state: Whether the guarantee holds, nothing is flagged, or the guarantee does not hold.
        why: Reason of a state other than `holds`; empty otherwise.
        n_reals_flagged: Number of the labelled reals that are flagged; None where nothing is
            flagged by its score.
        n_fakes_flagged: Number of the labelled fakes that are flagged; None if it was not measured
            at this threshold.
    """

    domain: str | None
    n_reals: int
    n_fakes: int
    flag_at: float | None
    state: State
    why: str = ""
    n_reals_flagged: int | None = None
    n_fakes_flagged: int | None = None

    @property
    def found(self) -> Interval | None:
        """Share of the labelled fakes that is flagged; None if it was not measured."""
        return None if self.n_fakes_flagged is None else share(self.n_fakes_flagged, self.n_fakes)

    def precision(self) -> dict[float, Interval]:
        """Return the precision of a flag by share of fakes, of `PREVALENCES`; empty without it."""
        if self.n_fakes_flagged is None:
            return {}
        return {prevalence: self._at(prevalence, 0.95) for prevalence in PREVALENCES}

    def audited(self, audit: Audit | None) -> Interval | None:
        """Return the precision of a flag at the share of fakes that an audit estimates.

        Precision rises with the share of fakes, so its limits are those at the limits of the share.

        Args:
            audit: Audit; None, or one with a stratum without answers, gives None.
        """
        found = None if audit is None else _prevalence(audit, confidence=_EACH_OF_TWO)
        if found is None or self.n_fakes_flagged is None:
            return None
        return Interval(
            value=self._at(found.value, _EACH_OF_TWO).value,
            low=self._at(found.low, _EACH_OF_TWO).low,
            high=self._at(found.high, _EACH_OF_TWO).high,
        )

    def most_real(self, n_images: int) -> int | None:
        """Return how many real images the score flags at most, with 95 % confidence.

        It holds whatever share of the images is real, if they are like the labelled ones and no
        copies of one another.

        Args:
            n_images: Number of images with a score.

        Returns:
            The bound; None where nothing is flagged by its score, or every labelled real is.
        """
        if self.n_reals_flagged is None or not n_images:
            return None
        ranks, most = most_reals_above(self.n_reals, n_images, confidence=0.95)
        # What is flagged lies above the highest real that is not; ranks count from the highest.
        at = int(np.searchsorted(ranks, self.n_reals_flagged + 1))
        return int(most[at]) if at < len(ranks) else None

    def _at(self, prevalence: float, confidence: float) -> Interval:
        if prevalence in {0, 1}:
            return Interval(value=prevalence, low=prevalence, high=prevalence)
        return precision_at(
            prevalence,
            n_fakes=self.n_fakes,
            n_fakes_flagged=self.n_fakes_flagged or 0,
            n_reals=self.n_reals,
            n_reals_flagged=self.n_reals_flagged or 0,
            confidence=confidence,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """What the thresholds of a policy promise for the scores of a key.

    Attributes:
        next_step: Command that calibrates.
        calibration_id: Id of the calibration; None if the policy names none.
        is_missing: Whether the lake does not have the calibration.
        guarantee: Guarantee of the flags; None without a calibration.
        thresholds: Thresholds that the policy takes from the calibration, those of all domains
            together first.
        too_few: Number of labelled real images per domain that has too few for its own thresholds.
        leaves_others: Whether domains without thresholds of their own are left to people.
        reliability: Measures of the calibrated probabilities; None if none were fitted.
        method: Method of the calibrated probabilities; None without them.
        audit: Newest audit of the lake; None without one.
    """

    next_step: str
    calibration_id: str | None = None
    is_missing: bool = False
    guarantee: Guarantee | None = None
    thresholds: tuple[ThresholdPromise, ...] = ()
    too_few: Mapping[str, int] = field(default_factory=dict)
    leaves_others: bool = False
    reliability: Reliability | None = None
    method: str | None = None
    audit: Audit | None = None

    @property
    def is_given(self) -> bool:
        """Whether the guarantee holds for the thresholds of at least one domain."""
        return any(one.state == "holds" for one in self.thresholds)

    @property
    def prevalence(self) -> Interval | None:
        """Share of fakes by the newest audit; None if a stratum of it has no answer."""
        return None if self.audit is None else _prevalence(self.audit, confidence=0.95)


def promise_of(lake: Lake, policy: Policy, key: ScoreKey) -> Promise:
    """Return what the thresholds of a policy promise for the scores of a key.

    Args:
        lake: Lake of the calibration and of the audits.
        policy: Policy of the decisions.
        key: Key of the scores.

    Raises:
        StoreError: The lake cannot be read.
    """
    plain = Promise(
        next_step=command("calibrate", lake=lake.uri),
        calibration_id=policy.calibration,
        audit=read_audit(lake) if lake.n_rows("audits") else None,
    )
    if policy.calibration is None:
        return plain
    try:
        calibration = find_calibration(lake, policy.calibration)
    except ConfigError:
        return replace(plain, is_missing=True)
    guarantee, broken = _guarantee(policy, key, calibration)
    facts = calibration.facts
    measured = facts["reliability"]
    rules = policy.rules_of(calibration.key.detector)
    bands: list[tuple[str | None, Band]] = []
    if rules is not None:
        bands = [(POOLED, rules.band)] if rules.band is not None else []
        bands += rules.domains.items()
    return replace(
        plain,
        guarantee=guarantee,
        thresholds=tuple(
            _threshold(domain, band, calibration, guarantee, broken) for domain, band in bands
        ),
        too_few=facts["too_few"],
        leaves_others=policy.unlisted_domain == "review",
        reliability=None if measured is None else Reliability.of(measured),
        method=facts["method"],
    )


def _guarantee(policy: Policy, key: ScoreKey, calibration: Calibration) -> tuple[Guarantee, str]:
    """Return the guarantee of a policy, and why none of its thresholds has it, if so."""
    calibrated = guarantee_of(calibration.guarantee)
    if calibration.key != key:
        return calibrated, (
            f"the calibration is of scores by {calibration.key.describe()}, these are by"
            f" {key.describe()}"
        )
    if policy.fdr is not None:
        # P-values of any calibration give it, whatever its own guarantee is.
        return Guarantee(kind="fdr", level=policy.fdr, confidence=None), ""
    if calibrated.kind == "fdr":
        return calibrated, f"{calibrated} is about p-values, and the policy flags by thresholds"
    return calibrated, ""


def _threshold(
    domain: str | None,
    band: Band,
    calibration: Calibration,
    guarantee: Guarantee,
    broken: str,
) -> ThresholdPromise:
    own = domain in calibration.real_logits
    facts = calibration.facts["thresholds"][domain or "" if own else ""]
    state, why = _state(band, facts, guarantee, broken)
    flag_at = band.flag_at if band.may_flag and guarantee.kind == "fpr" else None
    n_reals_flagged, n_fakes_flagged = None, None
    if flag_at is not None and state == "holds":
        scores = scores_of(calibration.reals_for(domain))
        n_reals_flagged = int((scores >= np.float32(flag_at)).sum())
        if facts["found"] is not None and flag_at == facts["flag_at"]:
            n_fakes_flagged = round(facts["found"]["value"] * facts["n_fakes"])
    return ThresholdPromise(
        domain=domain,
        n_reals=facts["n_reals"],
        n_fakes=facts["n_fakes"],
        flag_at=flag_at,
        state=state,
        why=why,
        n_reals_flagged=n_reals_flagged,
        n_fakes_flagged=n_fakes_flagged,
    )


def _state(
    band: Band, facts: Mapping[str, Any], guarantee: Guarantee, broken: str
) -> tuple[State, str]:
    """Return whether the guarantee holds for a band, and why not."""
    if not band.may_flag:
        return "no_flag", facts["why_no_flag"] or "the policy leaves flags to people"
    if broken:
        return "broken", broken
    if guarantee.kind == "fdr":
        return "holds", ""
    if facts["flag_at"] is None:
        return "broken", f"the policy flags from {band.flag_at:.6g}, and {facts['why_no_flag']}"
    if band.flag_at < facts["flag_at"]:
        return "broken", (
            f"the policy flags from {band.flag_at:.6g}, below the calibrated threshold"
            f" {facts['flag_at']:.6g}"
        )
    return "holds", ""


def _prevalence(audit: Audit, *, confidence: float) -> Interval | None:
    if audit.unanswered():
        return None
    return estimate(audit.strata, confidence=confidence).prevalence
