"""A run's images against earlier ones of the same batch, else of the same folders."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
from populations_made import KEY, lake_of_runs, population

from assay.data.store.lake import Lake
from assay.tasks.drift.of_run import RunDrift, drift_of_record, drift_of_run


def compared(lake: Lake, run_id: str, batch_id: str | None, limit: float = 0.1) -> RunDrift | None:
    return drift_of_run(lake, KEY, run_id=run_id, batch_id=batch_id, limit=limit)


def test_a_run_of_new_sources_is_compared_by_their_folders(tmp_path: Path) -> None:
    """Each run has a batch of its own here, and all have the folders a and b."""
    runs = (population(60, seed=1), population(60, seed=2), population(60, seed=3, shift=2.0))
    lake = lake_of_runs(tmp_path / "lake", *runs)
    found = compared(lake, "r2", "b2")
    assert found is not None
    assert (found.verdict, found.images_before, found.images_after) == ("other_images", 120, 60)
    assert set(found.measures) == {"score", "embedding"}
    assert min(found.measures.values()) > 0.3
    assert compared(lake, "r0", "b0") is None


def test_each_source_is_compared_and_those_that_have_shifted_are_named(tmp_path: Path) -> None:
    """Only folder a has higher scores; images of folder b hide half of that in the whole."""
    before, after = population(120, seed=1), population(120, seed=2)
    is_a = pl.int_range(pl.len()) % 2 == 0
    moved = after.with_columns(logit=pl.when(is_a).then(pl.col("logit") + 3).otherwise("logit"))
    lake = lake_of_runs(tmp_path / "lake", before, moved)
    found = compared(lake, "r1", "b1")
    assert found is not None
    assert found.sources_compared == 2
    (source,) = found.sources
    assert (source.source, source.verdict) == ("file:///a", "other_images")
    assert (source.images_before, source.images_after) == (60, 60)
    assert source.measures["score"] > found.measures["score"] > 0.1
    whole, named = found.lines()
    assert whole.endswith("120 images against 120 earlier ones of the same sources")
    assert named.startswith("file:///a: other images")
    assert drift_of_record({"drift": json.loads(json.dumps(found.to_json()))}) == [whole, named]


def test_a_source_that_shifts_alone_is_a_drift_of_the_run(tmp_path: Path) -> None:
    """Its images are few among all: the whole is below the limit, and the run has drifted."""
    before, after = population(400, seed=1), population(400, seed=2)
    at = pl.int_range(pl.len())
    source = pl.when(at < 60).then(pl.lit("shop")).otherwise(pl.lit("forum"))
    moved = after.with_columns(logit=pl.when(at < 60).then(pl.col("logit") + 4).otherwise("logit"))
    lake = lake_of_runs(
        tmp_path / "lake", before.with_columns(source=source), moved.with_columns(source=source)
    )
    found = compared(lake, "r1", "b1", limit=0.3)
    assert found is not None
    assert (found.verdict, found.has_drifted) == ("none", True)
    assert [one.source for one in found.sources] == ["file:///shop"]


def test_one_source_is_compared_once(tmp_path: Path) -> None:
    """The whole is the source; a record of a version without sources is still read."""
    runs = [population(60, seed=n).with_columns(source=pl.lit("shop")) for n in (1, 2)]
    found = compared(lake_of_runs(tmp_path / "lake", *runs), "r1", "b1")
    assert found is not None
    assert (found.sources_compared, found.sources) == (0, ())
    old = {name: value for name, value in found.to_json().items() if "source" not in name}
    assert drift_of_record({"drift": old}) == found.lines()
    assert drift_of_record({}) == drift_of_record({"drift": {"verdict": 1}}) == []


def test_later_runs_do_not_count(tmp_path: Path) -> None:
    """The second run is compared with the first alone, also over the whole lake."""
    runs = (population(60, seed=1), population(60, seed=2), population(60, seed=3, shift=2.0))
    lake = lake_of_runs(tmp_path / "lake", *runs)
    for batch_id in ("b1", None):
        found = compared(lake, "r1", batch_id)
        assert found is not None
        assert (found.verdict, found.images_before) == ("none", 60)
        assert not found.has_drifted


def test_a_shift_below_the_limit_is_none(tmp_path: Path) -> None:
    """A limit of 1 is exceeded by nothing but populations apart."""
    runs = (population(60, seed=1), population(60, seed=2, shift=2.0))
    lake = lake_of_runs(tmp_path / "lake", *runs)
    found = compared(lake, "r1", "b1", limit=0.9)
    assert found is not None
    assert (found.verdict, dict(found.measures)) == ("none", {})


def test_embeddings_and_scores_that_are_no_numbers_do_not_count(tmp_path: Path) -> None:
    """Sixty images of each side, of which three have NaN in both."""
    one, other = population(63, seed=1), population(63, seed=2)
    is_first = pl.int_range(pl.len()) < 3
    nan = pl.lit(float("nan"))
    broken = other.with_columns(
        logit=pl.when(is_first).then(nan).otherwise("logit"),
        embedding=pl.when(is_first).then(pl.lit([float("nan")] * 8)).otherwise("embedding"),
    )
    lake = lake_of_runs(tmp_path / "lake", one, broken)
    found = compared(lake, "r1", None)
    assert found is not None
    assert found.verdict == "none"
