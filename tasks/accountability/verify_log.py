"""Check of the decision log: altered, removed and inserted rows, per run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

import polars as pl

from ...data.errors import InputError
from ...data.store.lake import Lake
from ...data.text.wording import counted
from ..decide.decision_log import LOGGED, Tail, first_tail, row_sha256

ANCHOR: Final = "decision_log"
"""Name of the end of a log in the counts of its run's record."""
_RUNS_AT_A_TIME: Final = 100


class FaultKind(StrEnum):
    """Kind of a fault in a log."""

    ALTERED = "altered"
    REMOVED = "removed"
    INSERTED = "inserted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A fault in the log of a run.

    Attributes:
        run_id: Id of the run.
        kind: Kind of the fault.
        log_index: Position in the log.
        image_id: Id of the image of the row there; None if it is missing.
        detail: Difference between the row and the chain.
    """

    run_id: str
    kind: FaultKind
    log_index: int
    image_id: str | None
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """Result of a check.

    Attributes:
        n_runs: Number of runs with a log.
        n_rows: Number of rows in their logs.
        n_unlogged: Number of decisions from versions without a log.
        open_ends: Ids of runs whose record has no end of their log: still running, or killed.
            Rows at their ends may have been removed unseen.
        faults: Faults, by run and position.
    """

    n_runs: int
    n_rows: int
    n_unlogged: int
    open_ends: tuple[str, ...]
    faults: tuple[Fault, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON-ready values."""
        return asdict(self)


def verify_log(lake: Lake, run_id: str | None = None) -> Verified:
    """Check the decision log of a lake, or of one run.

    Args:
        lake: Lake of the decisions.
        run_id: Id of the run; None for all runs.

    Raises:
        InputError: There is no run of that id.
        StoreError: The lake cannot be read.
    """
    ends = _recorded_ends(lake, run_id)
    if run_id is not None and run_id not in ends:
        raise InputError(f"no run {run_id} in {lake.uri}; `assay runs` lists them")
    rows = lake.scan("decisions")
    if run_id is not None:
        rows = lake.rows_of("decisions", [run_id], column="run_id")
    named = rows.select("run_id", is_logged=pl.col("log_index").is_not_null())
    counts = named.group_by("run_id", "is_logged").len().collect()
    n_unlogged = int(counts.filter(~pl.col("is_logged"))["len"].sum())
    logged = counts.filter("is_logged")["run_id"].sort().to_list()
    # A log without rows has an end too: all its rows may have been removed.
    emptied = sorted(name for name, end in ends.items() if end and end.n_rows)
    faults: list[Fault] = []
    n_rows = 0
    wanted = sorted({*logged, *emptied})
    for start in range(0, len(wanted), _RUNS_AT_A_TIME):
        some = wanted[start : start + _RUNS_AT_A_TIME]
        read = (
            rows.filter(pl.col("run_id").is_in(some) & pl.col("log_index").is_not_null())
            .select(LOGGED)
            .sort("run_id", "log_index", "image_id")
            .collect()
        )
        n_rows += read.height
        parts = {str(name): part for (name,), part in read.group_by("run_id", maintain_order=True)}
        for name in some:
            faults += _faults(name, parts.get(name, read.clear()), ends.get(name))
    return Verified(
        n_runs=len(wanted),
        n_rows=n_rows,
        n_unlogged=n_unlogged,
        open_ends=tuple(name for name in logged if ends.get(name) is None),
        faults=tuple(faults),
    )


def _recorded_ends(lake: Lake, run_id: str | None) -> dict[str, Tail | None]:
    """Return the end of the log by run, as recorded at the end of the run; None without one."""
    runs = lake.scan("runs")
    if run_id is not None:
        runs = runs.filter(pl.col("run_id") == run_id)
    ends: dict[str, Tail | None] = {}
    for name, counts in runs.select("run_id", "counts").collect().iter_rows():
        end = json.loads(counts or "{}").get(ANCHOR)
        ends[name] = ends.get(name) or (None if end is None else Tail(**end))
    return ends


def _faults(run_id: str, rows: pl.DataFrame, end: Tail | None) -> Iterator[Fault]:
    """Yield the faults of one run's log.

    Args:
        run_id: Id of the run.
        rows: Columns of `LOGGED` in the order of the log.
        end: Recorded end of the log; None without a record.
    """

    def fault(kind: FaultKind, index: int, image_id: str | None, detail: str) -> Fault:
        return Fault(run_id=run_id, kind=kind, log_index=index, image_id=image_id, detail=detail)

    expected = first_tail(run_id)
    before: str | None = None
    for row in rows.iter_rows(named=True):
        index, image_id = row["log_index"], row["image_id"]
        if index < expected.n_rows:
            yield fault(FaultKind.INSERTED, index, image_id, "a second row at this position")
            continue
        if index > expected.n_rows:
            lost = index - expected.n_rows
            yield fault(
                FaultKind.REMOVED,
                expected.n_rows,
                None,
                f"{counted(lost, 'row is', 'rows are')} missing before {index}",
            )
        elif row["previous_sha256"] != expected.sha256:
            # Either of two rows may have been altered: the one before, or the link in this one.
            yield fault(
                FaultKind.ALTERED,
                max(index - 1, 0),
                before or image_id,
                f"the hash of this row is not the one that row {index} carries",
            )
        expected = Tail(n_rows=index + 1, sha256=row_sha256(row))
        before = image_id
    if end is None:
        return
    if expected.n_rows < end.n_rows:
        yield fault(
            FaultKind.REMOVED,
            expected.n_rows,
            None,
            f"{counted(end.n_rows - expected.n_rows, 'row is', 'rows are')} missing at the end",
        )
    elif expected.n_rows > end.n_rows:
        yield fault(
            FaultKind.INSERTED,
            end.n_rows,
            None,
            f"{counted(expected.n_rows - end.n_rows, 'row')} after the recorded end",
        )
    elif expected.sha256 != end.sha256:
        yield fault(
            FaultKind.ALTERED,
            end.n_rows - 1,
            before,
            "the hash of the last row is not the one in the record of the run",
        )
