"""A run's images against earlier ones of the same batch, else of the same folders."""

from __future__ import annotations

from pathlib import Path

import polars as pl
from populations_made import KEY, lake_of_runs, population

from assay.data.store.lake import Lake
from assay.tasks.drift.of_run import RunDrift, drift_of_run


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
