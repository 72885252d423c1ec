"""The step `drift` compares what a step has scored, and its value can be sent."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from populations_made import KEY, lake_of_runs, population

from assay.data.errors import ConfigError
from assay.flows.events.event import drift_of_step
from assay.flows.plain import Compared, Scored, drift


def scored(lake: str, run_id: str, batch_id: str) -> Scored:
    return Scored(
        lake=lake, batch_id=batch_id, run_id="decided", score_run_id=run_id, **KEY.as_row()
    )


def test_a_step_compares_the_images_that_were_scored(tmp_path: Path) -> None:
    """Those of the run that scored, not of the last step; the event names the source."""
    before, after = population(120, seed=1), population(120, seed=2)
    is_a = pl.int_range(pl.len()) % 2 == 0
    moved = after.with_columns(logit=pl.when(is_a).then(pl.col("logit") + 3).otherwise("logit"))
    lake = lake_of_runs(tmp_path / "lake", before, moved).uri
    found = drift(scored(lake, "r1", "b1"))
    assert found.drift is not None
    assert found.has_drifted
    assert [one.source for one in found.drift.sources] == ["file:///a"]
    assert Compared.from_json(json.loads(json.dumps(found.to_json()))) == found
    event = drift_of_step(found)
    assert event is not None
    assert (event.payload["source"], event.payload["run_id"]) == ("file:///a", "r1")
    assert not drift(scored(lake, "r1", "b1"), limit=1.0).has_drifted


def test_too_few_images_are_no_drift(tmp_path: Path) -> None:
    """A first run has nothing before it, and no event."""
    lake = lake_of_runs(tmp_path / "lake", population(60, seed=1)).uri
    found = drift(scored(lake, "r0", "b0"))
    assert (found.drift, found.has_drifted, drift_of_step(found)) == (None, False, None)
    assert Compared.from_json(found.to_json()) == found


@pytest.mark.parametrize("limit", [-0.1, 1.1, float("nan")])
def test_a_limit_out_of_range_is_refused(tmp_path: Path, limit: float) -> None:
    """The message names what is allowed; no lake is opened."""
    with pytest.raises(ConfigError, match="allowed: 0 to 1"):
        drift(scored(str(tmp_path / "none"), "r0", "b0"), limit=limit)
