"""The step: from the labelled images of a lake to a stored calibration and a policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ...data.errors import ConfigError, InputError
from ...data.score_key import ScoreKey
from ...data.store.lake import Lake
from ..decide.calibration import POOLED, Calibration, store_calibration
from ..decide.embedding_domain import EmbeddingDomain, domain_of, fake_p_values
from ..decide.policy import Band, DetectorRules, OutOfDomain, Policy
from ..latest_rows import last_judgement
from ..proportion import share
from .guarantee import Guarantee
from .labelled import Labelled, read_labelled
from .probability import MIN_PER_CLASS, fit_probabilities
from .reliability import Reliability, reliability
from .thresholds import Thresholds, needed, thresholds_of

REVIEW_SHARE: Final = 0.05
OUT_OF_DOMAIN: Final = OutOfDomain(level=0.05)
"""Rule of the policy if its base has none; docs/guarantees.md has what it finds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrateResult:
    """The result of a calibration.

    Attributes:
        calibration: The calibration.
        labelled: Counts of the labelled images.
        guarantee: Guarantee of the flags.
        thresholds: Thresholds per domain; under None those of all domains together.
        too_few: Number of real images per domain that has too few for thresholds of its own.
        log_losses: Cross-validated log loss per method; empty without probabilities.
        reliability: Measures of the probabilities; None without them.
        policy: Policy with the thresholds.
    """

    calibration: Calibration
    labelled: Labelled
    guarantee: Guarantee
    thresholds: Mapping[str | None, Thresholds]
    too_few: Mapping[str, int]
    log_losses: Mapping[str, float]
    reliability: Reliability | None
    policy: Policy

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON-ready values."""
        return {
            "calibration_id": self.calibration.calibration_id,
            **self.calibration.key.as_row(),
            **self.calibration.facts,
            "policy_id": self.policy.policy_id,
        }


def calibrate(
    lake: Lake,
    guarantee: Guarantee,
    *,
    base: Policy,
    detector: str | None = None,
    precision: str | None = None,
    domains: tuple[str, ...] = (),
    prevalence: float | None = None,
    review_share: float = REVIEW_SHARE,
    is_stored: bool = True,
) -> CalibrateResult:
    """Set thresholds with a guarantee from the labelled images of a lake.

    Args:
        lake: Lake with labels and scores.
        guarantee: Guarantee of the flags.
        base: Policy with all other rules.
        detector: Detector of the scores, a name or an id [default: that of the last decisions].
        precision: Precision of the scores [default: that of the last decisions].
        domains: Domains to calibrate; empty for all together, and each with enough real images.
        prevalence: Share of fakes that calibrated probabilities refer to, in (0, 1); None for
            that of the labelled images.
        review_share: Share of real images that go to review or are flagged, on average.
        is_stored: Whether to write the calibration to the lake.

    Raises:
        ConfigError: The lake has no scores by that name, or a share is out of range.
        InputError: The lake has no labelled real image with a score.
        StoreError: The lake cannot be read or written.
    """
    for name, value in (("prevalence", prevalence), ("review share", review_share)):
        if value is not None and not 0 < value < 1:
            raise ConfigError(f"{name} {value!r}; allowed: above 0 and below 1")
    judgement = last_judgement(lake, detector=detector, precision=precision)
    if judgement is None:
        names = " in ".join(name for name in (detector, precision) if name)
        raise ConfigError(
            f"{lake.uri} has no scores{f' by {names}' if names else ''}; run `assay score` first"
        )
    labelled = read_labelled(lake, judgement.key, domains=domains)
    made = calibration_of(
        labelled,
        judgement.key,
        guarantee,
        base=base,
        domains=domains,
        prevalence=prevalence,
        review_share=review_share,
    )
    if is_stored:
        store_calibration(lake, made.calibration)
    return made


def calibration_of(
    labelled: Labelled,
    key: ScoreKey,
    guarantee: Guarantee,
    *,
    base: Policy,
    domains: tuple[str, ...] = (),
    prevalence: float | None = None,
    review_share: float = REVIEW_SHARE,
) -> CalibrateResult:
    """Return the calibration of labelled images; a pure function, see `calibrate`.

    Raises:
        InputError: There is no real image.
    """
    rows = labelled.rows
    reals = rows.filter(~pl.col("is_fake"))
    if reals.is_empty():
        raise InputError(
            f"no image labelled `real` has a score by {key.describe()}"
            f" ({rows.height:,} labelled fake, {labelled.n_unscored:,} labelled without a score);"
            f" label real images: {guarantee} needs {needed(guarantee):,}"
        )
    band, _ = base.band(key.detector)
    by_domain: dict[str | None, Thresholds] = {}
    logits: dict[str | None, NDArray[np.float32]] = {}
    too_few: dict[str, int] = {}
    embeddings: dict[str | None, EmbeddingDomain] = {}
    named = [name for name in reals["domain"].unique().sort().to_list() if name is not None]
    if reals["domain"].n_unique() == 1:
        named = []  # one domain alone: its thresholds are those of all images
    for domain in (POOLED, *named):
        some = rows if domain is POOLED else rows.filter(pl.col("domain") == domain)
        real_logits = _logits(some, is_fake=False)
        if domain is not POOLED and len(real_logits) < needed(guarantee):
            too_few[domain] = len(real_logits)
            continue
        logits[domain] = real_logits
        near = domain_of(
            labelled.vectors_in(some.filter(~pl.col("is_fake"))),
            labelled.vectors_in(some.filter("is_fake")),
        )
        if near is not None:
            embeddings[domain] = near
        by_domain[domain] = thresholds_of(
            real_logits,
            _logits(some, is_fake=True),
            guarantee,
            review_share=review_share,
            review_at=band.review_at,
        )
    is_fake = rows["is_fake"].to_numpy()
    fitted, measured = None, None
    if min(is_fake.sum(), (~is_fake).sum()) >= MIN_PER_CLASS:
        fitted = fit_probabilities(rows["logit"].to_numpy(), is_fake)
        measured = reliability(fitted.held_out_probs, is_fake)
    rule = base.out_of_domain or OUT_OF_DOMAIN
    # A p-value of few reals is never as low as the level.
    n_compared = len(embeddings[POOLED].real_distances) if POOLED in embeddings else 0
    is_ruled = n_compared > 0 and 1 / (n_compared + 1) <= rule.level
    calibration = Calibration(
        key=key,
        guarantee=str(guarantee),
        real_logits=logits,
        map=None if fitted is None else fitted.map,
        prevalence=prevalence,
        embeddings=embeddings,
        facts={
            "guarantee": str(guarantee),
            "n_images": labelled.n_images,
            "n_reals": reals.height,
            "n_fakes": rows.height - reals.height,
            "n_disputed": labelled.n_disputed,
            "n_unscored": labelled.n_unscored,
            "review_share": review_share,
            "thresholds": {
                domain or "": thresholds.to_json() for domain, thresholds in by_domain.items()
            },
            "too_few": too_few,
            "out_of_domain": {
                domain or "": _out_of_domain(near, rule)
                for domain, near in embeddings.items()
                if is_ruled
            },
            "method": None if fitted is None else fitted.map.method,
            "log_losses": {} if fitted is None else fitted.log_losses,
            "reliability": None if measured is None else measured.to_json(),
        },
    )
    return CalibrateResult(
        calibration=calibration,
        labelled=labelled,
        guarantee=guarantee,
        thresholds=by_domain,
        too_few=too_few,
        log_losses={} if fitted is None else fitted.log_losses,
        reliability=measured,
        policy=_policy(base, calibration, guarantee, by_domain, domains).model_copy(
            update={"out_of_domain": rule if is_ruled else None}
        ),
    )


def _out_of_domain(near: EmbeddingDomain, rule: OutOfDomain) -> dict[str, Any]:
    """Return what the rule compares images with, and the share of the fakes that it holds for."""
    n_reals, p_fakes = len(near.real_distances), fake_p_values(near)
    n_out = int((p_fakes <= rule.level).sum())
    return {
        "level": rule.level,
        "n_reals": n_reals,
        "n_fakes": len(p_fakes),
        "fakes": asdict(share(n_out, len(p_fakes))) if len(p_fakes) else None,
    }


def _logits(rows: pl.DataFrame, *, is_fake: bool) -> NDArray[np.float32]:
    """Return the logits of one class in ascending order."""
    some = rows.filter(pl.col("is_fake") == is_fake)["logit"].sort()
    return some.to_numpy().astype(np.float32)


def _policy(
    base: Policy,
    calibration: Calibration,
    guarantee: Guarantee,
    thresholds: Mapping[str | None, Thresholds],
    domains: tuple[str, ...],
) -> Policy:
    """Return the base policy with the thresholds for the detector and its domains.

    Thresholds for named domains only say nothing of images of other domains, which keep theirs.
    """
    is_fdr = guarantee.kind == "fdr"
    bands = {domain: _band(some, is_fdr=is_fdr) for domain, some in thresholds.items()}
    pooled = bands.pop(POOLED)
    in_domains = {domain: band for domain, band in bands.items() if domain is not None}
    if domains:
        in_domains = {domain: in_domains.get(domain, pooled) for domain in domains}
    own = {} if domains else pooled.model_dump()
    rules = DetectorRules(**own, domains=in_domains)
    return base.model_copy(
        update={
            "name": "calibrated",
            "detectors": {**base.detectors, calibration.key.detector: rules},
            "calibration": calibration.calibration_id,
            "fdr": guarantee.level if is_fdr else None,
        }
    )


def _band(thresholds: Thresholds, *, is_fdr: bool) -> Band:
    """Return the thresholds as a band; without a guarantee nothing is flagged by its score."""
    may_flag = thresholds.why_no_flag is None
    flag_at = thresholds.flag_at
    if flag_at is None:
        flag_at = thresholds.review_at if is_fdr else max(thresholds.review_at, 0.5)
    return Band(review_at=thresholds.review_at, flag_at=flag_at, may_flag=may_flag)
