"""What the thresholds of a run promise, and how right its probabilities are, for a cell."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from ...data.errors import ConfigError
from ...data.store.lake import Lake
from ...tasks.calibrate.guarantee import LIMITS
from ...tasks.calibrate.reliability import Reliability
from ...tasks.pages.environment import environment
from ...tasks.pages.reliability import reliability_svg
from ...tasks.promise.promise import Promise, promise_of
from ...tasks.promise.words import flagged_words, sentence_of
from ...tasks.proportion import Interval
from ...tasks.report.domain_promises import by_domain
from ...tasks.report.domains import DomainRow, Domains
from ...tasks.runs.run_record import RunRecord, run_images

# Thresholds whose precision the cell shows; `.precision()` has all.
_SHOWN: Final = 5
_PRECISION: Final[dict[str, type[pl.DataType]]] = {
    "domain": pl.String,
    "share_fake": pl.Float64,
    "is_audited": pl.Boolean,
    "precision": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
}


@dataclass(frozen=True, slots=True, eq=False)
class RunGuarantee:
    """What the thresholds of a run promise.

    Attributes:
        promise: Guarantee, thresholds and their measures.
        rows: Figures per domain of the run.
    """

    promise: Promise
    rows: list[DomainRow]

    def __str__(self) -> str:
        return self.sentence

    def __repr__(self) -> str:
        return f"<RunGuarantee: {self.sentence}>"

    @property
    def holds(self) -> bool:
        """Whether the guarantee holds for the thresholds of at least one domain."""
        return self.promise.is_given

    @property
    def sentence(self) -> str:
        """Promise in words, or why there is none."""
        return sentence_of(self.promise)

    def precision(self) -> pl.DataFrame:
        """Return the precision of a flag by share of fakes among all images, with its interval.

        Columns domain (null for the thresholds of all domains together), share_fake, is_audited
        (whether the newest audit of the lake estimates that share), precision, low, high; no rows
        where it was not measured.
        """
        audited = self.promise.prevalence
        rows: list[tuple[str | None, float, bool, Interval]] = []
        for one in self.promise.thresholds:
            rows += [(one.domain, at, False, found) for at, found in one.precision().items()]
            found = one.audited(self.promise.audit)
            if found is not None and audited is not None:
                rows.append((one.domain, audited.value, True, found))
        values = [(*row[:3], row[3].value, row[3].low, row[3].high) for row in rows]
        return pl.DataFrame(values, schema=_PRECISION, orient="row")

    def domains(self) -> pl.DataFrame:
        """Return a row per domain of the run: where its guarantee comes from, and its flags.

        Columns domain, guarantee, flag_at (text), labelled_reals, images, flagged, and of the
        flagged images with a label labelled, labelled_fake.
        """
        return pl.DataFrame(
            [
                {
                    "domain": one.row.name,
                    "guarantee": one.guarantee,
                    "flag_at": one.flag_at,
                    "labelled_reals": one.n_reals,
                    "images": one.row.n_images,
                    "flagged": one.row.decisions["flag"],
                    "labelled": one.row.flagged_known,
                    "labelled_fake": one.row.flagged_fake,
                }
                for one in by_domain(self.promise, self.rows)
            ],
            schema={
                "domain": pl.String,
                "guarantee": pl.String,
                "flag_at": pl.String,
                "labelled_reals": pl.Int64,
                "images": pl.Int64,
                "flagged": pl.Int64,
                "labelled": pl.Int64,
                "labelled_fake": pl.Int64,
            },
        )

    def _repr_html_(self) -> str:
        template = environment(Path(__file__).parent).get_template("guarantee.html.jinja")
        return template.render(
            sentence=self.sentence,
            here=flagged_words(
                self.promise,
                sum(row.n_images for row in self.rows),
                sum(row.decisions["flag"] for row in self.rows),
            ),
            limits=LIMITS if self.holds else "",
            promise=self.promise,
            measured=[one for one in self.promise.thresholds if one.found is not None][:_SHOWN],
            n_measured=sum(one.found is not None for one in self.promise.thresholds),
            domains=by_domain(self.promise, self.rows) if self.promise.thresholds else [],
        )


@dataclass(frozen=True, slots=True, eq=False)
class ReliabilityDiagram:
    """Calibrated probabilities against the labels: ranges, calibration error, Brier score.

    Attributes:
        measures: Ranges of probabilities and measures of all of them.
        method: Method of the probabilities: platt, temperature, beta or isotonic.
    """

    measures: Reliability
    method: str

    def __repr__(self) -> str:
        return f"<ReliabilityDiagram: {self._note()}>"

    def to_polars(self) -> pl.DataFrame:
        """Return a row per range of probabilities.

        Columns low and high (ends of the range), images, mean_prob, share_fake, and share_low and
        share_high, the exact interval of 95 % of the share; null where there is no image.
        """
        rows = [
            {
                "low": one.low,
                "high": one.high,
                "images": one.n,
                "mean_prob": one.mean_prob,
                "share_fake": one.share_fake,
                "share_low": None if one.interval is None else one.interval.low,
                "share_high": None if one.interval is None else one.interval.high,
            }
            for one in self.measures.bins
        ]
        return pl.DataFrame(rows, schema_overrides={"images": pl.Int64})

    def _note(self) -> str:
        return (
            f"{self.method}, expected calibration error {self.measures.ece.text()}, Brier score"
            f" {self.measures.brier:.3f}"
        )

    def _repr_svg_(self) -> str:
        return str(reliability_svg(self.measures.bins))

    def _repr_html_(self) -> str:
        template = environment(Path(__file__).parent).get_template("reliability.html.jinja")
        return template.render(diagram=reliability_svg(self.measures.bins), note=self._note())


def guarantee_of_run(lake: Lake, run: RunRecord) -> RunGuarantee:
    """Return what the thresholds of a run promise.

    Args:
        lake: Lake of the run.
        run: Record of the run.

    Raises:
        ConfigError: The run decided nothing, or the rules of its policy are not available.
        StoreError: The lake cannot be read.
    """
    policy = run.policy()
    if policy is None or run.key is None:
        raise ConfigError(
            f"run {run.run_id} has no decisions by a policy whose rules are known; decide again:"
            " `assay decide`"
        )
    domains = Domains()
    domains.add(run_images(lake, run).select("domain", "decision", "label").collect())
    return RunGuarantee(promise_of(lake, policy, run.key), domains.rows())


def reliability_of_run(lake: Lake, run: RunRecord) -> ReliabilityDiagram:
    """Return how right the calibrated probabilities of a run are.

    Args:
        lake: Lake of the run.
        run: Record of the run.

    Raises:
        ConfigError: The run has no calibrated probabilities.
        StoreError: The lake cannot be read.
    """
    policy = run.policy()
    if policy is not None and run.key is not None:
        promise = promise_of(lake, policy, run.key)
        if promise.reliability is not None and promise.method is not None:
            return ReliabilityDiagram(promise.reliability, promise.method)
    raise ConfigError(
        f"run {run.run_id} has no calibrated probabilities; label 20 or more real and fake images"
        " each, run `assay calibrate`, and decide by the policy that it writes"
    )
