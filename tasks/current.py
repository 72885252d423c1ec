"""The rows that count: tables only grow, so each question has a rule for which row answers.

Every function gives a LazyFrame and reads nothing by itself. `Bucket` cuts a table into
parts by the hash of a key, so that a step over a million rows holds one part at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from ..data.lake import Lake
from ..data.rows import schema_of
from ..data.schema import ScoreStatus

ROWS_AT_A_TIME = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """Part `index` of `count` parts of a table, by the hash of a key column."""

    index: int = 0
    count: int = 1

    def of(self, frame: pl.LazyFrame, key: str) -> pl.LazyFrame:
        """The rows of this part; parts are disjoint and together are the whole."""
        if self.count == 1:
            return frame
        # The remainder of the hash itself is what polars' own joins partition by.
        return frame.filter((pl.col(key).hash(seed=7) // 1024) % self.count == self.index)


WHOLE = Bucket()


def buckets(lake: Lake, table: str, *, rows_at_a_time: int = ROWS_AT_A_TIME) -> Iterator[Bucket]:
    """Parts of about `rows_at_a_time` rows of a table; one part for a small or empty table."""
    n_rows = lake.scan(table).select(pl.len()).collect().item()
    count = max(1, -(-n_rows // rows_at_a_time))
    for index in range(count):
        yield Bucket(index=index, count=count)


def current_sightings(
    lake: Lake, batch_id: str, *, bucket: Bucket = WHOLE, version: int | None = None
) -> pl.LazyFrame:
    """One row for each item of a batch: the latest seen."""
    rows = lake.scan("sightings", version).filter(pl.col("batch_id") == batch_id)
    return _latest(bucket.of(rows, "source_uri"), ["source_uri"], ["seen_at"])


def latest_sightings(
    lake: Lake, *, batch_id: str | None = None, bucket: Bucket = WHOLE, version: int | None = None
) -> pl.LazyFrame:
    """One row for each stored image: its latest sighting, in one batch or in any.

    The domain is that of the latest sighting of the image that names one, in whichever batch; an
    empty domain withdraws those before it.
    """
    rows = bucket.of(
        lake.scan("sightings", version).filter(pl.col("image_id").is_not_null()), "image_id"
    )
    order = ["seen_at", "source_uri"]
    domains = (
        _latest(rows.filter(pl.col("domain").is_not_null()), ["image_id"], order)
        .select("image_id", "domain")
        .filter(pl.col("domain") != "")
    )
    if batch_id is not None:
        rows = rows.filter(pl.col("batch_id") == batch_id)
    columns = list(schema_of("sightings").names)
    return (
        _latest(rows, ["image_id"], order)
        .drop("domain")
        .join(domains, on="image_id", how="left", maintain_order="left")
        .select(columns)
    )


def current_scores(
    lake: Lake,
    *,
    detector_id: str,
    weights_sha256: str | None = None,
    profile: str | None = None,
    precision: str | None = None,
    bucket: Bucket = WHOLE,
    version: int | None = None,
) -> pl.LazyFrame:
    """One row for each image under a detector: a score before a failure, then the latest.

    All columns but the embedding, which only few need and which is most of the table.
    """
    rows = (
        lake.scan("scores", version)
        .select(pl.exclude("embedding"))
        .filter(pl.col("detector") == detector_id)
    )
    if weights_sha256 is not None:
        rows = rows.filter(pl.col("weights_sha256") == weights_sha256)
    if profile is not None:
        rows = rows.filter(pl.col("profile") == profile)
    if precision is not None:
        rows = rows.filter(pl.col("precision") == precision)
    rows = bucket.of(rows, "image_id").with_columns(
        is_scored=pl.col("status") == ScoreStatus.SCORED.value
    )
    return _latest(rows, ["image_id"], ["is_scored", "scored_at", "precision"]).drop("is_scored")


def current_decisions(
    lake: Lake,
    *,
    detector_id: str,
    policy_id: str,
    bucket: Bucket = WHOLE,
    version: int | None = None,
) -> pl.LazyFrame:
    """One row for each image under a detector and a policy: the latest decided."""
    rows = lake.scan("decisions", version).filter(
        (pl.col("detector") == detector_id) & (pl.col("policy_id") == policy_id)
    )
    return _latest(bucket.of(rows, "image_id"), ["image_id"], ["decided_at"])


def _latest(rows: pl.LazyFrame, keys: list[str], order: list[str]) -> pl.LazyFrame:
    return rows.sort(order, maintain_order=True).unique(
        subset=keys, keep="last", maintain_order=True
    )
