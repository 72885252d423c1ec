"""Images of a lake with their latest score, decision, label and sighting, one row each."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

import polars as pl

from ...data.schema import TABLES
from ...data.score_key import ScoreKey
from ...data.store.lake import Lake
from ..labels import best_labels
from ..latest_rows import (
    ROWS_AT_A_TIME,
    WHOLE,
    IdRange,
    Named,
    Part,
    last_judgement,
    latest_decisions,
    latest_scores,
    latest_sightings,
)
from .filters import Filters

Sort = Literal["seen", "score", "id"]

COLUMNS: Final[dict[str, str]] = {
    "image_id": "SHA-256 of the encoded bytes, 64 hex digits",
    "decision": "clear, review or flag; null if undecided",
    "reasons": "Reasons of the decision",
    "prob_fake": "Score: probability that the image is AI-generated, 0 to 1",
    "logit": "Score before the sigmoid",
    "label": "Best label: real, fake or laundered; null if unknown or disputed",
    "label_evidence": "Evidence of the label: review, synthetic or source",
    "domain": "Domain of the latest sighting that names one",
    "source_uri": "URI of the latest sighting, without secrets",
    "seen_at": "Time of the latest sighting, UTC",
    "format": "Format of the file",
    "width_px": "Width in pixels as stored",
    "height_px": "Height in pixels as stored",
    "n_bytes": "Size of the file in bytes",
    "ai_declared": "Declaration of AI generation in the file's own metadata",
    "doubt": "Reason why viewers may show a different image from the one scored",
    "detector": "Detector of score and decision",
    "precision": "Number format of the detector",
    "policy_id": "Policy of the decision",
}
"""Columns of `known_images`, with their descriptions."""

_SEEN: Final = frozenset({"domain", "source_uri", "seen_at"})
_SCORED: Final = frozenset({"prob_fake", "logit"})
_DECIDED: Final = frozenset({"decision", "reasons"})
_LABELLED: Final = frozenset({"label", "label_evidence"})
_TABLES_READ: Final = ("images", "sightings", "scores", "decisions", "reviews", "synthetics")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Images of a batch or of the whole lake, with the score key and policy to read them by.

    Attributes:
        run_id: Id of the requested run; None for the whole lake.
        batch_id: Batch of the images; None for the whole lake.
        key: Key of the scores; None if nothing is scored.
        policy_id: Policy of the decisions; None if nothing is decided.
        versions: Version of each table; the latest version for a table not named.
    """

    run_id: str | None = None
    batch_id: str | None = None
    key: ScoreKey | None = None
    policy_id: str | None = None
    versions: Mapping[str, int | None] = field(default_factory=dict)

    def describe(self) -> str:
        """Return detector, precision and policy in one line."""
        if self.key is None:
            return "nothing is scored yet"
        by = f"scores of {self.key.detector} in {self.key.precision}"
        return f"{by}, decisions by policy {self.policy_id}" if self.policy_id else by


def scope_of(lake: Lake, run_id: str | None = None) -> Scope:
    """Return the scope of a run, or of the whole lake with its last scores and decisions.

    Args:
        lake: Lake to look in.
        run_id: Id of a run, or `latest`; None for the whole lake.

    Raises:
        InputError: The lake has no such run.
    """
    if run_id is not None:
        # Policies of runs need scipy, which a list of the lake does not.
        from ..runs.run_record import find_run

        run = find_run(lake, run_id)
        return Scope(
            run_id=run.run_id,
            batch_id=run.batch_id,
            key=run.key,
            policy_id=run.policy_id,
        )
    last = last_judgement(lake)
    return Scope() if last is None else Scope(key=last.key, policy_id=last.policy_id)


def pinned(lake: Lake, scope: Scope) -> Scope:
    """Return the scope at the latest versions of the tables, for reading in several parts."""
    return replace(scope, versions={table: lake.version(table) for table in _TABLES_READ})


def known_images(
    lake: Lake, scope: Scope, *, part: Part = WHOLE, columns: Collection[str] = tuple(COLUMNS)
) -> pl.LazyFrame:
    """Return the images of a scope, one row each.

    Args:
        lake: Lake of the tables.
        scope: Images, score key and policy.
        part: Part of the images.
        columns: Names of columns in `COLUMNS`; tables that no column needs are not read.
    """
    at = scope.versions.get
    frame = part.rows(lake, "images", at("images")).unique("image_id", keep="any")
    if scope.batch_id is not None or not _SEEN.isdisjoint(columns):
        seen = latest_sightings(
            lake, batch_id=scope.batch_id, part=part, version=at("sightings")
        ).select("image_id", *_SEEN)
        frame = frame.join(seen, on="image_id", how="left" if scope.batch_id is None else "inner")
    if not _SCORED.isdisjoint(columns):
        frame = frame.join(_scores(lake, scope, part), on="image_id", how="left")
    if not _DECIDED.isdisjoint(columns):
        frame = frame.join(_decisions(lake, scope, part), on="image_id", how="left")
    if not _LABELLED.isdisjoint(columns):
        rows = (
            part.rows(lake, table, at(table)) for table in ("reviews", "synthetics", "sightings")
        )
        frame = frame.join(best_labels(*rows), on="image_id", how="left")
    key = scope.key
    return frame.with_columns(
        detector=pl.lit(key and key.detector, dtype=pl.String),
        precision=pl.lit(key and key.precision, dtype=pl.String),
        policy_id=pl.lit(scope.policy_id, dtype=pl.String),
    ).select(name for name in COLUMNS if name in columns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """First matching images as plain rows, and the number of all matching images."""

    rows: list[dict[str, Any]]
    n_matching: int


def list_images(
    lake: Lake, scope: Scope, filters: Filters, *, sort: Sort = "seen", limit: int
) -> Listed:
    """Return the first matching images.

    Args:
        lake: Lake of the tables.
        scope: Images, score key and policy.
        filters: Conditions on the images.
        sort: Order: latest sighting first, highest score first, or by id.
        limit: Largest number of rows.
    """
    by = {"seen": "seen_at", "score": "prob_fake", "id": "image_id"}[sort]
    order = (
        known_images(lake, scope, columns={"image_id", by, *filters.columns()})
        .filter(filters.where())
        .select("image_id", by=by)
        .sort("by", "image_id", descending=[sort != "id", False], nulls_last=True)
        .collect()
    )
    ids = order.get_column("image_id").head(limit)
    rows = known_images(lake, scope, part=Named(ids=tuple(ids))).collect()
    ranked = ids.to_frame().join(rows, on="image_id", how="left", maintain_order="left")
    return Listed(rows=ranked.to_dicts(), n_matching=order.height)


def count_images(lake: Lake) -> int:
    """Return the number of images of a lake."""
    return int(lake.scan("images").select(pl.col("image_id").n_unique()).collect().item())


def domains_of(lake: Lake, scope: Scope) -> list[str]:
    """Return the domains of the images of a scope, sorted."""
    known = known_images(lake, scope, columns={"domain"}).select(pl.col("domain").unique().sort())
    return known.collect()["domain"].drop_nulls().to_list()


def parts_of_images(
    lake: Lake, scope: Scope, filters: Filters, *, rows_at_a_time: int = ROWS_AT_A_TIME
) -> Iterator[pl.DataFrame]:
    """Yield all matching images, ordered by id, one part in memory at a time.

    Args:
        lake: Lake of the tables.
        scope: Images, score key and policy; `pinned` if other processes may write.
        filters: Conditions on the images.
        rows_at_a_time: Approximate number of sightings per part.
    """
    n_rows = lake.scan("sightings", scope.versions.get("sightings")).select(pl.len())
    count = max(1, -(-int(n_rows.collect().item()) // rows_at_a_time))
    for index in range(count):
        part = IdRange(index=index, count=count)
        matching = known_images(lake, scope, part=part).filter(filters.where())
        yield matching.sort("image_id").collect()


def _scores(lake: Lake, scope: Scope, part: Part) -> pl.LazyFrame:
    names = ("image_id", *_SCORED)
    if scope.key is None:
        return pl.LazyFrame(schema=pl.Schema(TABLES["scores"])).select(names)
    version = scope.versions.get("scores")
    return latest_scores(lake, scope.key, part=part, version=version).select(names)


def _decisions(lake: Lake, scope: Scope, part: Part) -> pl.LazyFrame:
    names = ("image_id", *_DECIDED)
    if scope.key is None or scope.policy_id is None:
        return pl.LazyFrame(schema=pl.Schema(TABLES["decisions"])).select(names)
    version = scope.versions.get("decisions")
    return latest_decisions(
        lake, scope.key, policy_id=scope.policy_id, part=part, version=version
    ).select(names)
