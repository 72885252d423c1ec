"""Audits of a lake: drawn and recorded with their probabilities, reported from the answers."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import polars as pl

from ...data.errors import ConfigError, InputError
from ...data.score_key import ScoreKey
from ...data.store.lake import Lake
from ...data.text.wording import counted
from ...data.vocabulary import Decision, Label, ReviewKind
from ..latest_rows import last_judgement, latest_decisions
from ..proportion import Interval
from ..review.answers import standing_answers
from ..review.queue.draws import Draw
from ..runs.run_record import find_run, ids_of_run
from .estimate import Estimate, Stratum, estimate
from .sample import STRATA, draw, sizes

QUEUE_SHARE: Final = 0.2
"""Share of the images in the review queue that are draws of open audits."""

# Decisions whose images a figure is of.
_STRATA_OF: Final = {
    "prevalence": STRATA,
    "precision": (Decision.FLAG.value,),
    "recall": STRATA,
    "found": STRATA,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """An audit with the answers so far.

    Attributes:
        audit_id: Id of the audit.
        policy_id: Id of the policy whose decisions are audited.
        drawn_at: Time of the draw, UTC.
        seed: Seed of the draw.
        strata: Counts by decision.
        n_disputed: Number of drawn images on which reviewers disagree; they count as unlabelled.
        estimate: Figures for all images.
    """

    audit_id: str
    policy_id: str
    drawn_at: datetime
    seed: int
    strata: dict[str, Stratum]
    n_disputed: int
    estimate: Estimate

    def unanswered(self, strata: Iterable[str] = STRATA) -> list[str]:
        """Return the strata without any answer, about which there are limits and no estimate.

        Args:
            strata: Decisions to look at.
        """
        return [name for name in strata if name in self.strata and not self.strata[name].n_labelled]


def draw_audit(
    lake: Lake,
    *,
    run_id: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    n_images: int = 300,
    cleared_share: float = 0.01,
    seed: int = 0,
    is_stored: bool = True,
    write_sheet: Callable[[pl.DataFrame], None] | None = None,
) -> tuple[str, pl.DataFrame]:
    """Draw the sample of an audit from the decisions of a run, or of the images since a time.

    Args:
        lake: Lake of the decisions.
        run_id: Id of the run; None for the last decisions of the whole lake, without the images
            that assay made: they are no part of what came in.
        since: Start of the time in which the images were seen, UTC; None for no start.
        until: End of that time, UTC, itself left out; None for no end.
        n_images: Size of the sample.
        cleared_share: Smallest share of the cleared images that is drawn, in [0, 1].
        seed: Seed of the draw.
        is_stored: Whether to record the audit in the lake.
        write_sheet: Writer of the sample, called before the audit is recorded, so that none is
            whose sheet could not be written.

    Returns:
        Id of the audit, and the sample with the columns of `sample.draw`.

    Raises:
        ConfigError: A number is out of range, or the time ends before it starts.
        InputError: There are no decisions to audit.
        StoreError: The lake cannot be read or written.
    """
    if not 0 <= seed < 2**63:
        raise ConfigError(f"a seed of {seed}; allowed: 0 to 2^63 - 1")
    if n_images < 1 or not 0 <= cleared_share <= 1:
        raise ConfigError(
            f"a sample of {counted(n_images, 'image')} with a share of"
            f" {cleared_share} of the cleared;"
            " allowed: 1 image or more, and a share from 0 to 1"
        )
    if since is not None and until is not None and since >= until:
        raise ConfigError(f"a time from {_time(since)} until {_time(until)}; name an earlier start")
    key, policy_id = _judged(lake, run_id)
    decided = latest_decisions(lake, key, policy_id=policy_id).select("image_id", "decision")
    if run_id is None:
        made = lake.scan("synthetics").select("image_id")
        decided = decided.join(made, on="image_id", how="anti")
    elif (ids := ids_of_run(lake, find_run(lake, run_id))) is not None:
        decided = decided.filter(pl.col("image_id").is_in(ids.implode()))
    if since is not None or until is not None:
        decided = decided.join(_seen(lake, since, until), on="image_id", how="semi")
    # A decision about a forgotten image stays, and nobody can look at the image.
    rows = decided.filter(~pl.col("image_id").is_in(list(lake.tombstones.ids()))).collect()
    if rows.is_empty():
        raise InputError(_nothing_to_audit(lake, since, until))
    counts = dict(rows["decision"].value_counts().iter_rows())
    sample = draw(rows, sizes(counts, n_images=n_images, cleared_share=cleared_share), seed=seed)
    audit_id = f"a-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"
    if is_stored:
        if write_sheet is not None:
            write_sheet(sample)
        stored = sample.with_columns(
            audit_id=pl.lit(audit_id),
            **{name: pl.lit(value) for name, value in key.as_row().items()},
            policy_id=pl.lit(policy_id),
            seed=pl.lit(seed, dtype=pl.Int64),
            drawn_at=pl.lit(datetime.now(UTC)).dt.cast_time_unit("us"),
        )
        lake.append("audits", stored, txn=f"audit:{audit_id}")
    return audit_id, sample


def _nothing_to_audit(lake: Lake, since: datetime | None, until: datetime | None) -> str:
    if since is None and until is None:
        return f"{lake.uri} has no decisions to audit; run `assay moderate` first"
    seen = lake.scan("sightings").filter(pl.col("image_id").is_not_null())
    first, last = seen.select(first=pl.min("seen_at"), last=pl.max("seen_at")).collect().row(0)
    there = "" if first is None else f"; its images were seen from {_time(first)} to {_time(last)}"
    from_ = "" if since is None else f" from {_time(since)}"
    to = "" if until is None else f" until {_time(until)}"
    return f"{lake.uri} has no decided images that were seen{from_}{to}{there}"


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _seen(lake: Lake, since: datetime | None, until: datetime | None) -> pl.LazyFrame:
    """Return image_id of the images with a sighting in a time; it may have later ones too."""
    rows = lake.scan("sightings").filter(pl.col("image_id").is_not_null())
    if since is not None:
        rows = rows.filter(pl.col("seen_at") >= since)
    if until is not None:
        rows = rows.filter(pl.col("seen_at") < until)
    return rows.select("image_id")


def _judged(lake: Lake, run_id: str | None) -> tuple[ScoreKey, str]:
    """Return the score key and the policy of the decisions to audit."""
    if run_id is not None:
        run = find_run(lake, run_id)
        if run.key is not None and run.policy_id is not None:
            return run.key, run.policy_id
    elif (judgement := last_judgement(lake)) is not None and judgement.policy_id is not None:
        return judgement.key, judgement.policy_id
    raise InputError(f"{lake.uri} has no decisions to audit; run `assay moderate` first")


def read_audit(lake: Lake, audit_id: str | None = None) -> Audit:
    """Return an audit with the answers so far.

    Args:
        lake: Lake of the audit.
        audit_id: Id of the audit; None for the last one drawn.

    Raises:
        InputError: There is no such audit.
        StoreError: The lake cannot be read.
    """
    rows = _sample_of(lake, audit_id)
    labelled = rows.join(_labels(lake, rows["image_id"]), on="image_id", how="left")
    strata: dict[str, Stratum] = {}
    for (name,), part in labelled.group_by("stratum"):
        first = part.row(0, named=True)
        strata[str(name)] = Stratum(
            n_all=first["n_stratum"],
            n_drawn=first["n_drawn"],
            n_labelled=int(part["is_fake"].is_not_null().sum()),
            n_fake=int(part["is_fake"].sum() or 0),
        )
    first = rows.row(0, named=True)
    in_order = {name: strata[name] for name in STRATA if name in strata}
    return Audit(
        **{name: first[name] for name in ("audit_id", "policy_id", "drawn_at", "seed")},
        strata=in_order,
        n_disputed=int(labelled["is_disputed"].sum() or 0),
        estimate=estimate(in_order),
    )


def _sample_of(lake: Lake, audit_id: str | None) -> pl.DataFrame:
    rows = lake.scan("audits")
    if audit_id is None:
        rows = rows.filter(pl.col("audit_id") == pl.col("audit_id").sort_by("drawn_at").last())
    else:
        rows = rows.filter(pl.col("audit_id") == audit_id)
    found = rows.collect()
    if found.is_empty():
        known = lake.scan("audits").select(pl.col("audit_id").unique()).collect()["audit_id"]
        named = ", ".join(known.sort()) or "none"
        raise InputError(
            f"no audit {audit_id or ''} in {lake.uri}; it has: {named}. `assay audit draw` draws"
            " one"
        )
    return found


def _labels(lake: Lake, image_ids: pl.Series) -> pl.DataFrame:
    """Return image_id, is_fake (null if people disagree) and is_disputed of answered images."""
    said = standing_answers(lake, image_ids.to_list()).filter(pl.col("label") != Label.UNSURE.value)
    # A laundered photo is not AI-generated.
    is_fake = pl.col("label") == Label.FAKE.value
    return (
        said.group_by("image_id")
        .agg(is_fake=is_fake.first(), is_disputed=is_fake.n_unique() > 1)
        .with_columns(is_fake=pl.when(~pl.col("is_disputed")).then("is_fake"))
        .collect()
    )


def open_draws(lake: Lake) -> Iterator[Draw]:
    """Yield the draws of all audits that nobody has answered, to be mixed into the queue.

    Args:
        lake: Lake of the audits.

    Raises:
        StoreError: The lake cannot be read.
    """
    drawn = lake.scan("audits").sort("drawn_at", "image_id").select("image_id").collect()
    ids = drawn["image_id"].unique(maintain_order=True)
    if not ids.is_empty():
        yield Draw(kind=ReviewKind.AUDIT.value, share=QUEUE_SHARE, image_ids=ids.to_list())


def audit_json(audit: Audit) -> dict[str, Any]:
    """Return an audit as JSON-ready values."""
    return {
        "audit_id": audit.audit_id,
        "policy_id": audit.policy_id,
        "drawn_at": audit.drawn_at.isoformat(),
        "seed": audit.seed,
        "disputed": audit.n_disputed,
        "strata": {
            name: {
                "images": one.n_all,
                "drawn": one.n_drawn,
                "labelled": one.n_labelled,
                "fake": one.n_fake,
            }
            for name, one in audit.strata.items()
        },
        **_figures_json(audit),
    }


def _figures_json(audit: Audit) -> dict[str, Any]:
    """Return the figures; the value of one with a stratum without answers is null."""
    figures = audit.estimate.to_json()
    for name in audit.unanswered():
        figures["fakes"][name]["value"] = None
    for name, strata in _STRATA_OF.items():
        if figures[name] is not None and audit.unanswered(strata):
            figures[name]["value"] = None
    return figures


def audit_text(audit: Audit) -> str:
    """Return an audit as lines of text."""
    found = audit.estimate
    lines = [
        f"audit       {audit.audit_id} of decisions by {audit.policy_id}, drawn"
        f" {audit.drawn_at:%Y-%m-%d}, seed {audit.seed}"
    ]
    for name, one in audit.strata.items():
        unknown = one.n_drawn - one.n_labelled
        lines.append(
            f"{name:<12}{counted(one.n_all, 'image')}, {one.n_drawn:,} drawn,"
            f" {one.n_fake:,} fake of"
            f" {one.n_labelled:,} labelled, {unknown:,} unknown:"
            f" {_figure_text(audit, found.fakes[name], name)} fake"
        )
    if audit.n_disputed:
        lines.append(
            f"disputed    {counted(audit.n_disputed, 'image counts', 'images count')} as unknown"
        )
    for name, figure, sentence in (
        ("prevalence", found.prevalence, "of all images are fake"),
        ("precision", found.precision, "of the flagged images are fake"),
        ("recall", found.recall, "of the fakes are flagged"),
        ("found", found.found, "of the fakes are flagged or sent to review"),
    ):
        text = "no image to say it of"
        if figure is not None:
            text = f"{_figure_text(audit, figure, *_STRATA_OF[name])} {sentence}"
        lines.append(f"{name:<12}{text}")
    if missing := audit.unanswered():
        lines.append(f"no answer   about any drawn image of: {', '.join(missing)}")
    return "\n".join(lines)


def _figure_text(audit: Audit, figure: Interval, *strata: str) -> str:
    if audit.unanswered(strata):
        return f"unknown ({100 * figure.low:.1f} to {100 * figure.high:.1f} %)"
    return figure.text()
