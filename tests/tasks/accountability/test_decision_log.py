"""The decision log: whole logs pass, and each kind of tampering is found where it is."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lakes import KEY, Made, Shot, copied, lake_of

from assay.data.errors import InputError
from assay.data.store.lake import Lake
from assay.flows.deciding.decide_again import decide_again, shadow
from assay.tasks.accountability.verify_log import FaultKind, verify_log
from assay.tasks.decide.decide_images import decide_images
from assay.tasks.decide.decision_log import (
    INPUTS,
    LOGGED,
    Tail,
    chained,
    first_tail,
    row_sha256,
    tail_of,
    with_inputs,
)
from assay.tasks.decide.policy import Policy
from assay.tasks.decide.policy_file import load_policy, policy_from_dict


def rules(flag_at: float) -> Policy:
    thresholds = {"default": {"review_at": 0.2, "flag_at": flag_at}}
    return policy_from_dict(load_policy().as_dict() | thresholds, source="test")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Six images decided by a recorded run."""
    shots = [Shot(name=f"{i}.jpg", prob=0.1 + 0.15 * i, seed=i) for i in range(6)]
    made = lake_of(tmp_path_factory.mktemp("decided") / "lake", shots)
    decide_again(made.lake, shadow(made.lake, rules(0.9)))
    return made


@pytest.fixture
def made(template: Made, tmp_path: Path) -> Made:
    return copied(template, tmp_path / "lake")


def run_of(made: Made) -> str:
    rows = made.lake.scan("runs").filter(pl.col("flow") == "decide").collect()
    return str(rows["run_id"][0])


def rewrite(made: Made, change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    """Replace the table of decisions by a changed one, as someone with access to the files can."""
    run_id = run_of(made)
    rows = Lake(made.lake.uri).scan("decisions").collect()
    mine = rows.filter(pl.col("run_id") == run_id).sort("log_index")
    others = rows.filter(pl.col("run_id") != run_id)
    shutil.rmtree(made.lake.path("tables", "decisions"))
    Lake(made.lake.uri).append("decisions", pl.concat([others, change(mine)]), txn="forged")


def faults_of(made: Made) -> list[tuple[FaultKind, int]]:
    lake = Lake(made.lake.uri, create=False)
    return [(fault.kind, fault.log_index) for fault in verify_log(lake, run_of(made)).faults]


def test_a_log_that_nobody_touched_has_no_fault(made: Made) -> None:
    """Two runs, six rows each, of which the first has no record of its end."""
    found = verify_log(made.lake)
    assert found.faults == ()
    assert (found.n_runs, found.n_rows, found.n_unlogged) == (2, 12, 0)
    assert found.open_ends == (made.run_id,)


def test_rows_are_chained_by_their_hashes(made: Made) -> None:
    """Each row carries the hash of the one before, the first that of the run's id."""
    run_id = run_of(made)
    rows = made.lake.scan("decisions").filter(pl.col("run_id") == run_id).sort("log_index")
    expected = hashlib.sha256(json.dumps([run_id]).encode()).hexdigest()
    for index, row in enumerate(rows.collect().iter_rows(named=True)):
        assert (row["log_index"], row["previous_sha256"]) == (index, expected)
        expected = row_sha256(row)
    assert tail_of(made.lake, run_id) == Tail(n_rows=6, sha256=expected)


def flipped(rows: pl.DataFrame, index: int) -> pl.DataFrame:
    is_it = pl.col("log_index") == index
    other = pl.when(pl.col("decision") == "clear").then(pl.lit("flag")).otherwise(pl.lit("clear"))
    return rows.with_columns(decision=pl.when(is_it).then(other).otherwise("decision"))


@pytest.mark.parametrize("index", [0, 2, 5])
def test_an_altered_row_is_found(made: Made, index: int) -> None:
    """A decision that becomes another one no longer has the hash that the next row carries."""
    rewrite(made, lambda rows: flipped(rows, index))
    assert faults_of(made) == [(FaultKind.ALTERED, index)]


@pytest.mark.parametrize(("index", "at"), [(0, 0), (3, 3), (5, 5)])
def test_a_removed_row_is_found(made: Made, index: int, at: int) -> None:
    """Also the last one, by the end in the record of the run."""
    rewrite(made, lambda rows: rows.filter(pl.col("log_index") != index))
    assert faults_of(made) == [(FaultKind.REMOVED, at)]


def test_an_inserted_row_is_found(made: Made) -> None:
    """A second row at a position, and one after the recorded end."""
    rewrite(made, lambda rows: pl.concat([rows, rows.filter(pl.col("log_index") == 2)]))
    assert faults_of(made) == [(FaultKind.INSERTED, 2)]
    tail = Tail(n_rows=6, sha256="0" * 64)

    def appended(rows: pl.DataFrame) -> pl.DataFrame:
        more, _ = chained(rows.head(1), tail)
        return pl.concat([rows.unique("log_index", keep="first"), more])

    rewrite(made, appended)
    assert (FaultKind.INSERTED, 6) in faults_of(made)


def test_all_rows_removed_are_found(made: Made) -> None:
    """The record of the run still has their number."""
    rewrite(made, lambda rows: rows.clear())
    assert faults_of(made) == [(FaultKind.REMOVED, 0)]


def test_a_repeated_step_goes_on_with_its_log(made: Made) -> None:
    """Two calls of one run leave one chain, as after a retry."""
    key = {"key": KEY, "run_id": "20260401T000000Z-aaaaaaaa"}
    ids = pl.Series(sorted(made.ids.values()))
    decide_images(made.lake, image_ids=ids[:3], policy=rules(0.5), **key)
    decide_images(made.lake, image_ids=ids, policy=rules(0.5), **key)
    rows = made.lake.scan("decisions").filter(pl.col("run_id") == key["run_id"]).collect()
    assert sorted(rows["log_index"]) == [0, 1, 2, 3, 4, 5]
    assert verify_log(made.lake).faults == ()


def test_an_unknown_run_is_refused(made: Made) -> None:
    """The message names the command that lists runs."""
    with pytest.raises(InputError, match="assay runs"):
        verify_log(made.lake, "20990101T000000Z-00000000")


@given(st.data())
def test_no_change_of_a_row_keeps_its_hash(data: st.DataObject) -> None:
    """Whatever column changes to whatever value, the hash differs."""
    row = dict.fromkeys(LOGGED) | {
        "image_id": "a",
        "reasons": ["x", "y"],
        "p_real": 0.5,
        "decided_at": datetime(2026, 1, 1, tzinfo=UTC),
        "log_index": 0,
    }
    name = data.draw(st.sampled_from(LOGGED))
    kinds = {
        "reasons": st.lists(st.text(), max_size=3),
        "p_real": st.floats(allow_nan=False),
        "prob_calibrated": st.floats(allow_nan=False),
        "log_index": st.integers(0, 2**62),
        "decided_at": st.datetimes(timezones=st.just(UTC)),
    }
    value = data.draw(kinds.get(name, st.text()))
    other = row | {name: value}
    assert (row_sha256(other) == row_sha256(row)) == (value == row[name])


def test_log_of_a_run_without_rows_ends_at_its_id() -> None:
    """The end of an empty log depends on the run."""
    assert first_tail("a") != first_tail("b")
    assert first_tail("a").n_rows == 0


def test_inputs_of_later_versions_count_where_they_are_known() -> None:
    """A decision without deliveries, known hashes and rules on pixels keeps its hash."""
    row = dict.fromkeys(INPUTS) | {"image_id": "a", "prob_fake": 0.5}
    policy = rules(0.5).model_copy(update={"pixels": None})
    plain = with_inputs(pl.DataFrame([row]), KEY, policy)["inputs_sha256"][0]
    for name, value in (("delivered_low", -1.0), ("known", "flag")):
        frame = pl.DataFrame([row | {"detail": 0.2, name: None}])
        assert with_inputs(frame, KEY, policy)["inputs_sha256"][0] == plain
        frame = frame.with_columns(pl.lit(value).alias(name))
        assert with_inputs(frame, KEY, policy)["inputs_sha256"][0] != plain
