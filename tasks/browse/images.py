"""The images of a lake as they are known now, one row each: what lists and exports are made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import polars as pl

from ...data.schema import TABLES
from ...data.score_key import ScoreKey
from ...data.store.lake import Lake
from ..labels import best_labels
from ..latest_rows import (
    ROWS_AT_A_TIME,
    WHOLE,
    Bucket,
    last_judgement,
    latest_decisions,
    latest_scores,
    latest_sightings,
)
from ..report.run_record import find_run
from .filters import Filters

Sort = Literal["seen", "score", "id"]

COLUMNS: Final[dict[str, str]] = {
    "image_id": "SHA-256 of the encoded bytes, 64 hex digits",
    "decision": "clear, review or flag; empty where nothing is decided",
    "reasons": "Reasons of the decision",
    "prob_fake": "Score: probability that the image is AI-generated, 0 to 1",
    "logit": "Score before the sigmoid",
    "label": "Best label: real, fake or laundered; empty where none is known or sources disagree",
    "label_evidence": "Evidence of the label: review, synthetic or source",
    "domain": "Domain of the latest sighting that names one",
    "source_uri": "URI of the latest sighting, without secrets",
    "seen_at": "Time of the latest sighting, UTC",
    "format": "Format of the file",
    "width_px": "Width in pixels as stored",
    "height_px": "Height in pixels as stored",
    "n_bytes": "Size of the file in bytes",
    "ai_declared": "Declaration of AI generation in the file's own metadata",
    "doubt": "Reason why people may see another image than was scored",
    "detector": "Detector of score and decision",
    "precision": "Number format of the detector",
    "policy_id": "Policy of the decision",
}
"""Columns of `known_images`, with their descriptions."""

_TABLES_READ: Final = ("images", "sightings", "scores", "decisions", "reviews", "synthetics")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Images of a batch or of the whole lake, and the key and policy of scores and decisions.

    Attributes:
        run_id: Run that was asked for; None for the lake as it is.
        batch_id: Batch of the images; None for the whole lake.
        key: Key of the scores; None where nothing was scored.
        policy_id: Policy of the decisions; None where nothing was decided.
        versions: Versions of the tables; None for a table without rows.
    """

    run_id: str | None = None
    batch_id: str | None = None
    key: ScoreKey | None = None
    policy_id: str | None = None
    versions: Mapping[str, int | None] = field(default_factory=dict)

    def describe(self) -> str:
        """Return whose scores and decisions these are, in one line."""
        if self.key is None:
            return "nothing is scored yet"
        by = f"scores of {self.key.detector} in {self.key.precision}"
        return f"{by}, decisions by policy {self.policy_id}" if self.policy_id else by


def scope_of(lake: Lake, run_id: str | None = None) -> Scope:
    """Return the scope of a run, or of the whole lake by its last scores and decisions.

    Args:
        lake: Lake to look in; its tables are read as they are now.
        run_id: Id of a run, or `latest`; None for the whole lake.

    Raises:
        InputError: The lake has no such run.
    """
    versions = {table: lake.version(table) for table in _TABLES_READ}
    if run_id is not None:
        run = find_run(lake, run_id)
        return Scope(
            run_id=run.run_id,
            batch_id=run.batch_id,
            key=run.key,
            policy_id=run.policy_id,
            versions=versions,
        )
    last = last_judgement(lake)
    if last is None:
        return Scope(versions=versions)
    return Scope(key=last.key, policy_id=last.policy_id, versions=versions)


@dataclass(frozen=True, slots=True, kw_only=True)
class IdRange(Bucket):
    """Part of a table by the first 8 hex digits of an id: parts in order are rows in order."""

    def of(self, frame: pl.LazyFrame, key: str) -> pl.LazyFrame:
        """Return the rows of this part; parts are disjoint and together are the whole."""
        if self.index > 0:
            frame = frame.filter(pl.col(key) >= self._edge(self.index))
        if self.index < self.count - 1:
            frame = frame.filter(pl.col(key) < self._edge(self.index + 1))
        return frame

    def _edge(self, index: int) -> str:
        return f"{index * 2**32 // self.count:08x}"


def known_images(lake: Lake, scope: Scope, *, part: Bucket = WHOLE) -> pl.LazyFrame:
    """Return the images of a scope with the columns of `COLUMNS`, one row each.

    Args:
        lake: Lake of the tables.
        scope: Images, and the key and policy of what is said of them.
        part: Part of the images.
    """
    at = scope.versions.get
    frame = part.of(lake.scan("images", at("images")), "image_id").unique("image_id", keep="any")
    seen = latest_sightings(
        lake, batch_id=scope.batch_id, bucket=part, version=at("sightings")
    ).select("image_id", "domain", "source_uri", "seen_at")
    frame = frame.join(seen, on="image_id", how="left" if scope.batch_id is None else "inner")
    labels = best_labels(
        *(
            part.of(lake.scan(table, at(table)), "image_id")
            for table in ("reviews", "synthetics", "sightings")
        )
    )
    for more in (_scores(lake, scope, part), _decisions(lake, scope, part), labels):
        frame = frame.join(more, on="image_id", how="left")
    key = scope.key
    return frame.with_columns(
        detector=pl.lit(key and key.detector, dtype=pl.String),
        precision=pl.lit(key and key.precision, dtype=pl.String),
        policy_id=pl.lit(scope.policy_id, dtype=pl.String),
    ).select(*COLUMNS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """The first of the images that fit, as plain rows, and how many fit and are there in all."""

    rows: list[dict[str, Any]]
    n_fitting: int
    n_images: int


def list_images(
    lake: Lake, scope: Scope, filters: Filters, *, sort: Sort = "seen", limit: int
) -> Listed:
    """Return the first images that fit.

    Args:
        lake: Lake of the tables.
        scope: Images, and the key and policy of what is said of them.
        filters: Conditions on the images.
        sort: Order: latest sighting first, highest score first, or by id.
        limit: Largest number of rows.
    """
    fitting = known_images(lake, scope).filter(filters.where())
    by = {"seen": "seen_at", "score": "prob_fake", "id": "image_id"}[sort]
    # Ids and order of all are small; the rest of the columns is read for the rows that are shown.
    order = (
        fitting.select("image_id", by=by)
        .sort("by", "image_id", descending=[sort != "id", False], nulls_last=True)
        .collect()
    )
    ids = order["image_id"].head(limit)
    rows = known_images(lake, scope).filter(pl.col("image_id").is_in(ids.implode())).collect()
    ranked = ids.to_frame().join(rows, on="image_id", how="left", maintain_order="left")
    n_images = lake.scan("images", scope.versions.get("images")).select(
        pl.col("image_id").n_unique()
    )
    return Listed(
        rows=ranked.to_dicts(), n_fitting=order.height, n_images=int(n_images.collect().item())
    )


def parts_of_images(
    lake: Lake, scope: Scope, filters: Filters, *, rows_at_a_time: int = ROWS_AT_A_TIME
) -> Iterator[pl.DataFrame]:
    """Yield all images that fit, ordered by id, in parts that are held one at a time.

    Args:
        lake: Lake of the tables.
        scope: Images, and the key and policy of what is said of them.
        filters: Conditions on the images.
        rows_at_a_time: Number of sightings that a part is read from, about.
    """
    n_rows = lake.scan("sightings", scope.versions.get("sightings")).select(pl.len())
    count = max(1, -(-int(n_rows.collect().item()) // rows_at_a_time))
    for index in range(count):
        part = IdRange(index=index, count=count)
        fitting = known_images(lake, scope, part=part).filter(filters.where())
        yield fitting.sort("image_id").collect()


def _scores(lake: Lake, scope: Scope, part: Bucket) -> pl.LazyFrame:
    names = ("image_id", "prob_fake", "logit")
    if scope.key is None:
        return pl.LazyFrame(schema=pl.Schema(TABLES["scores"])).select(names)
    version = scope.versions.get("scores")
    return latest_scores(lake, scope.key, bucket=part, version=version).select(names)


def _decisions(lake: Lake, scope: Scope, part: Bucket) -> pl.LazyFrame:
    names = ("image_id", "decision", "reasons")
    if scope.key is None or scope.policy_id is None:
        return pl.LazyFrame(schema=pl.Schema(TABLES["decisions"])).select(names)
    version = scope.versions.get("decisions")
    return latest_decisions(
        lake, scope.key, policy_id=scope.policy_id, bucket=part, version=version
    ).select(names)
