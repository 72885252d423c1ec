"""The current rows of tables that only grow, by one rule per kind of row.

The functions return LazyFrames. A `Bucket` is a part of a table by the hash of a key, so that a
step over a million rows holds one part in memory at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from ..data.schema import TABLES
from ..data.score_key import ScoreKey, rows_that_count
from ..data.store.conform import schema_of
from ..data.store.lake import Lake

ROWS_AT_A_TIME = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """Part `index` of `count` parts of a table, by the hash of a key column."""

    index: int = 0
    count: int = 1

    def of(self, frame: pl.LazyFrame, key: str) -> pl.LazyFrame:
        """Return the rows of this part; the parts of a table are disjoint and complete."""
        if self.count == 1:
            return frame
        # Divided first: polars' own joins partition by the remainder of the hash itself.
        return frame.filter((pl.col(key).hash(seed=7) // 1024) % self.count == self.index)


WHOLE = Bucket()


def buckets(lake: Lake, table: str, *, rows_at_a_time: int = ROWS_AT_A_TIME) -> Iterator[Bucket]:
    """Yield parts of a table.

    Args:
        lake: Lake of the table.
        table: Name of the table.
        rows_at_a_time: Approximate number of rows per part; a smaller table is one part.
    """
    n_rows = lake.n_rows(table)
    count = max(1, -(-n_rows // rows_at_a_time))
    for index in range(count):
        yield Bucket(index=index, count=count)


def latest_items(
    lake: Lake, batch_id: str, *, bucket: Bucket = WHOLE, version: int | None = None
) -> pl.LazyFrame:
    """Return the latest sighting of each item of a batch."""
    rows = lake.scan("sightings", version).filter(pl.col("batch_id") == batch_id)
    return _latest(bucket.of(rows, "source_uri"), ["source_uri"], ["seen_at"])


def latest_sightings(
    lake: Lake, *, batch_id: str | None = None, bucket: Bucket = WHOLE, version: int | None = None
) -> pl.LazyFrame:
    """Return the latest sighting of each stored image, in one batch or in any.

    The domain of an image is that of its latest sighting with a domain, in any batch; an empty
    domain withdraws earlier ones.

    Args:
        lake: Lake of the sightings.
        batch_id: Id of the batch; None for all batches.
        bucket: Part of the images.
        version: Version of the table; None for the latest.
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


def latest_scores(
    lake: Lake, key: ScoreKey, *, bucket: Bucket = WHOLE, version: int | None = None
) -> pl.LazyFrame:
    """Return one row per image under a key: the latest score, else the latest failure.

    The embedding is left out, since few readers need it and it is most of the table.

    Args:
        lake: Lake of the scores.
        key: Key of the scores.
        bucket: Part of the images.
        version: Version of the table; None for the latest.
    """
    rows = lake.scan("scores", version).select(pl.exclude("embedding")).filter(key.where())
    return rows_that_count(bucket.of(rows, "image_id"))


def latest_decisions(
    lake: Lake,
    key: ScoreKey,
    *,
    policy_id: str | None = None,
    bucket: Bucket = WHOLE,
    version: int | None = None,
) -> pl.LazyFrame:
    """Return the latest decision of each image under a key and a policy.

    Args:
        lake: Lake of the decisions.
        key: Key of the scores behind the decisions.
        policy_id: Id of the policy; None for any policy.
        bucket: Part of the images.
        version: Version of the table; None for the latest.
    """
    rows = keyed_decisions(lake, version).filter(key.where())
    if policy_id is not None:
        rows = rows.filter(pl.col("policy_id") == policy_id)
    return _latest(bucket.of(rows, "image_id"), ["image_id"], ["decided_at"])


def keyed_decisions(lake: Lake, version: int | None = None) -> pl.LazyFrame:
    """Return all decisions with their score keys, whichever version of assay wrote them.

    Older rows name the detector only; the record of their run has the rest of the key. Without a
    record the key stays null, and no reader counts the decision.

    Args:
        lake: Lake of the decisions.
        version: Version of the table; None for the latest.
    """
    rows = lake.scan("decisions", version)
    rest = [name for name in ScoreKey.columns() if name != "detector"]
    bare = rows.filter(pl.col("precision").is_null()).select("run_id").unique()
    recorded = (
        lake.scan("runs")
        .join(bare, on="run_id", how="semi")
        .select("run_id", *(of_record(name).alias(f"{name}_of_run") for name in rest))
        .filter(pl.col("precision_of_run").is_not_null())
        .unique("run_id", keep="any")
    )
    return rows.join(recorded, on="run_id", how="left", maintain_order="left").select(
        pl.coalesce(name, f"{name}_of_run").alias(name) if name in rest else name
        for name in TABLES["decisions"].names
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The last use of a score key.

    Attributes:
        key: Key of the scores.
        at: Time of the last use, UTC.
        policy_id: Id of the policy; None if nothing was decided.
    """

    key: ScoreKey
    at: datetime
    policy_id: str | None


def last_judgement(
    lake: Lake,
    *,
    detector: str | None = None,
    precision: str | None = None,
    policy_id: str | None = None,
    versions: Mapping[str, int | None] | None = None,
) -> Judgement | None:
    """Return the key and policy of the last completed run that fits; None if none does.

    A run that repeats earlier decisions writes no rows in `decisions`, so the records of runs are
    searched first, then decisions without a run, then scores.

    Args:
        lake: Lake to search.
        detector: Name of a detector, which stands for any revision, or its id in the tables.
        precision: Precision in the tables, or `int8` for any quantised weights.
        policy_id: Id of the policy.
        versions: Version per table; None for the latest.

    Raises:
        StoreError: The lake cannot be read.
    """
    at = versions or {}
    names = ScoreKey.columns()
    whole = pl.all_horizontal(pl.col(names).is_not_null()) & named(detector, precision)
    judged = whole
    if policy_id is not None:
        judged = whole & (pl.col("policy_id") == policy_id)
    decided = keyed_decisions(lake, at.get("decisions")).filter(judged)
    completed = lake.scan("runs", at.get("runs")).filter(pl.col("status") == "completed")
    candidates = [
        (
            completed.select("finished_at", **{n: of_record(n) for n in (*names, "policy_id")})
            .filter(judged)
            .join(
                decided.select(*names, "policy_id").unique(), on=[*names, "policy_id"], how="semi"
            ),
            "finished_at",
        ),
        (decided, "decided_at"),
    ]
    if policy_id is None:
        scored = lake.scan("scores", at.get("scores")).filter(whole)
        candidates.append((scored.with_columns(policy_id=pl.lit(None, pl.String)), "scored_at"))
    for rows, time in candidates:
        latest = rows.select(time, *names, "policy_id").top_k(1, by=time).collect()
        if not latest.is_empty():
            row = latest.row(0, named=True)
            key = ScoreKey(**{name: row[name] for name in names})
            return Judgement(key=key, at=row[time], policy_id=row["policy_id"])
    return None


def named(detector: str | None, precision: str | None = None) -> pl.Expr:
    """Return the condition on a detector and a precision, each named in full or up to the `@`."""
    return _is_called("detector", detector) & _is_called("precision", precision)


def _is_called(column: str, name: str | None) -> pl.Expr:
    if name is None:
        return pl.lit(value=True)
    return (pl.col(column) == name) | pl.col(column).str.starts_with(f"{name}@")


def of_record(name: str) -> pl.Expr:
    """Return a setting in the record of a run, as text."""
    return pl.col("params").str.json_path_match(f"$.{name}")


def _latest(rows: pl.LazyFrame, keys: list[str], order: list[str]) -> pl.LazyFrame:
    return rows.sort(order, maintain_order=True).unique(
        subset=keys, keep="last", maintain_order=True
    )
