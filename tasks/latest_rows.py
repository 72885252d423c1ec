"""The current rows of tables that only grow, by one rule per kind of row.

The functions return LazyFrames. A `Part` is a part of the images of a lake, so that a step over a
million images holds one part in memory at a time, and one over ten reads the rows of ten.
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
# Records of runs that are read at a time, the newest first.
_RUNS_AT_A_TIME = 100
_LAST_FILES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """All images of a lake, or some of them."""

    def rows(self, lake: Lake, table: str, version: int | None = None) -> pl.LazyFrame:
        """Return the rows of a table about the images of this part.

        Args:
            lake: Lake of the table.
            table: Name of a table with the column image_id.
            version: Version of the table; None for the latest.
        """
        return lake.scan(table, version)


@dataclass(frozen=True, slots=True, kw_only=True)
class IdRange(Part):
    """Images by the first 8 hex digits of their ids: range `index` of `count`, in order of ids.

    The ranges are disjoint and complete. In a table that is sorted by id, each is read alone.
    """

    index: int
    count: int

    def rows(self, lake: Lake, table: str, version: int | None = None) -> pl.LazyFrame:
        """Return the rows of a table about the images of this part; see `Part.rows`."""
        frame = lake.scan(table, version)
        if self.index > 0:
            frame = frame.filter(pl.col("image_id") >= self._edge(self.index))
        if self.index < self.count - 1:
            frame = frame.filter(pl.col("image_id") < self._edge(self.index + 1))
        return frame

    def _edge(self, index: int) -> str:
        return f"{index * 2**32 // self.count:08x}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Named(Part):
    """Images by their ids."""

    ids: tuple[str, ...]

    def rows(self, lake: Lake, table: str, version: int | None = None) -> pl.LazyFrame:
        """Return the rows of a table about the images of this part; see `Part.rows`."""
        return lake.rows_of(table, self.ids, version=version)


@dataclass(frozen=True, slots=True, kw_only=True)
class _InFiles(Part):
    """Images with rows in some data files, and of these only the rows there."""

    files: tuple[str, ...]

    def rows(self, lake: Lake, table: str, version: int | None = None) -> pl.LazyFrame:
        """Return the rows of the files; see `Part.rows`."""
        return lake.tables.rows_in(table, self.files, version)


WHOLE = Part()


def parts_of(
    lake: Lake, image_ids: pl.Series | None, *, rows_at_a_time: int = ROWS_AT_A_TIME
) -> Iterator[Part]:
    """Yield parts of some images, or of all images of a lake.

    Args:
        lake: Lake of the images.
        image_ids: Ids of the images; None for all images of the lake.
        rows_at_a_time: Largest number of images per part; an approximate one for a whole lake.
    """
    if image_ids is None:
        count = max(1, -(-lake.n_rows("images") // rows_at_a_time))
        yield from (IdRange(index=index, count=count) for index in range(count))
        return
    ids = image_ids.unique().sort().to_list()
    for start in range(0, len(ids), rows_at_a_time):
        yield Named(ids=tuple(ids[start : start + rows_at_a_time]))


def rows_of_batch(lake: Lake, batch_id: str, version: int | None = None) -> pl.LazyFrame:
    """Return the sightings of a batch."""
    return lake.rows_of("sightings", [batch_id], column="batch_id", version=version)


def latest_items(lake: Lake, batch_id: str, *, version: int | None = None) -> pl.LazyFrame:
    """Return the latest sighting of each item of a batch."""
    return latest_of_items(rows_of_batch(lake, batch_id, version))


def latest_of_items(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Return the latest of the sightings of each item, from sightings of one batch."""
    return _latest(rows, ["source_uri"], ["seen_at"])


def latest_of_images(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Return the latest of the sightings of each image, from some sightings of images."""
    return _latest(rows, ["image_id"], ["seen_at", "source_uri"])


def latest_sightings(
    lake: Lake, *, batch_id: str | None = None, part: Part = WHOLE, version: int | None = None
) -> pl.LazyFrame:
    """Return the latest sighting of each stored image, in one batch or in any.

    The domain of an image is that of its latest sighting with a domain, in any batch; an empty
    domain withdraws earlier ones.

    Args:
        lake: Lake of the sightings.
        batch_id: Id of the batch; None for all batches.
        part: Part of the images.
        version: Version of the table; None for the latest.
    """
    rows = part.rows(lake, "sightings", version).filter(pl.col("image_id").is_not_null())
    domains = (
        latest_of_images(rows.filter(pl.col("domain").is_not_null()))
        .select("image_id", "domain")
        .filter(pl.col("domain") != "")
    )
    if batch_id is not None:
        rows = rows.filter(pl.col("batch_id") == batch_id)
    columns = list(schema_of("sightings").names)
    return (
        latest_of_images(rows)
        .drop("domain")
        .join(domains, on="image_id", how="left", maintain_order="left")
        .select(columns)
    )


def source_of() -> pl.Expr:
    """Return the folder, archive or address above an image, from the column `source_uri`."""
    return pl.col("source_uri").str.replace(r"[/#?][^/#?]*$", "")


def latest_scores(
    lake: Lake, key: ScoreKey, *, part: Part = WHOLE, version: int | None = None
) -> pl.LazyFrame:
    """Return one row per image under a key: the latest score, else the latest failure.

    The embedding is left out, since few readers need it and it is most of the table.

    Args:
        lake: Lake of the scores.
        key: Key of the scores.
        part: Part of the images.
        version: Version of the table; None for the latest.
    """
    rows = part.rows(lake, "scores", version).select(pl.exclude("embedding"))
    return rows_that_count(rows.filter(key.where()))


def latest_decisions(
    lake: Lake,
    key: ScoreKey,
    *,
    policy_id: str | None = None,
    part: Part = WHOLE,
    version: int | None = None,
) -> pl.LazyFrame:
    """Return the latest decision of each image under a key and a policy.

    Args:
        lake: Lake of the decisions.
        key: Key of the scores behind the decisions.
        policy_id: Id of the policy; None for any policy.
        part: Part of the images.
        version: Version of the table; None for the latest.
    """
    rows = keyed_decisions(lake, version, part=part).filter(key.where())
    if policy_id is not None:
        rows = rows.filter(pl.col("policy_id") == policy_id)
    return _latest(rows, ["image_id"], ["decided_at"])


def keyed_decisions(lake: Lake, version: int | None = None, *, part: Part = WHOLE) -> pl.LazyFrame:
    """Return decisions with their score keys, whichever version of assay wrote them.

    Older rows name the detector only; the record of their run has the rest of the key. Without a
    record the key stays null, and no reader counts the decision.

    Args:
        lake: Lake of the decisions.
        version: Version of the table; None for the latest.
        part: Part of the images.
    """
    rows = part.rows(lake, "decisions", version)
    if not lake.tables.may_have_nulls("decisions", "precision", version):
        return rows.select(TABLES["decisions"].names)
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
    if (latest := _last_run(lake, at.get("runs"), at.get("decisions"), judged)) is not None:
        return latest
    candidates = [(decided, "decided_at")]
    if policy_id is None:
        scored = lake.scan("scores", at.get("scores")).filter(whole)
        candidates.append((scored.with_columns(policy_id=pl.lit(None, pl.String)), "scored_at"))
    for rows, time in candidates:
        row = rows.select(pl.col(time).alias("at"), *names, "policy_id").top_k(1, by="at").collect()
        if not row.is_empty():
            return _judgement(row)
    return None


def _last_run(
    lake: Lake, version: int | None, decisions: int | None, judged: pl.Expr
) -> Judgement | None:
    """Return the judgement of the last completed run that fits and whose decisions exist.

    Args:
        lake: Lake of the runs.
        version: Version of the runs; None for the latest.
        decisions: Version of the decisions; None for the latest.
        judged: Condition on the settings of a run.
    """
    names = (*ScoreKey.columns(), "policy_id")
    ended = (
        lake.scan("runs", version)
        .filter(pl.col("status") == "completed")
        .select("run_id", "finished_at")
        .sort("finished_at", descending=True)
        .collect()["run_id"]
        .unique(maintain_order=True)
    )
    seen: dict[tuple[str, ...], bool] = {}
    # Records are long, and one of the newest mostly fits.
    for start in range(0, len(ended), _RUNS_AT_A_TIME):
        rows = (
            lake.rows_of(
                "runs", ended[start : start + _RUNS_AT_A_TIME], column="run_id", version=version
            )
            .filter(pl.col("status") == "completed")
            .select(at="finished_at", **{name: of_record(name) for name in names})
            .filter(judged & pl.col("policy_id").is_not_null())
            .sort("at", descending=True)
            .collect()
        )
        for row in rows.iter_rows(named=True):
            values = tuple(row[name] for name in names)
            if values not in seen:
                fits = pl.all_horizontal(pl.col(n) == v for n, v in zip(names, values, strict=True))
                seen[values] = _is_decided(lake, decisions, judged & fits)
            if seen[values]:
                return _judgement(pl.DataFrame([row], schema=rows.schema))
    return None


def _is_decided(lake: Lake, version: int | None, fits: pl.Expr) -> bool:
    """Return whether a decision fits; most likely one of the last commits has it."""
    files = tuple(lake.tables.files("decisions", version))  # the newest first
    for some in (files[:_LAST_FILES], files[_LAST_FILES:]):
        rows = keyed_decisions(lake, version, part=_InFiles(files=some)).filter(fits)
        if some and not rows.select("image_id").head(1).collect().is_empty():
            return True
    return False


def _judgement(row: pl.DataFrame) -> Judgement:
    values = row.row(0, named=True)
    key = ScoreKey(**{name: values[name] for name in ScoreKey.columns()})
    return Judgement(key=key, at=values["at"], policy_id=values["policy_id"])


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
