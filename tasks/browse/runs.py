"""Runs of a lake, newest first, with sources, counts, status and report."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

import polars as pl

from ...data.commands import command
from ...data.store.lake import Lake
from ...data.text.redaction import redact_text
from ...data.text.wording import counted
from ...data.vocabulary import Decision
from .table_text import Column, draw_table

WhyGone = Callable[[Mapping[str, Any], datetime], str | None]
"""Judge of a run without an end, by its process and start: why it cannot be running, or None."""

RUNNING: Final = "running"
INTERRUPTED: Final = "interrupted"
REPORTS: Final = "reports"
_COLUMNS: Final = (
    Column(name="run"),
    Column(name="started (UTC)", hide=5),
    Column(name="flow"),
    Column(name="status"),
    Column(name="images", is_right=True),
    Column(name="rejected", is_right=True, hide=2),
    Column(name="clear", is_right=True, hide=3),
    Column(name="review", is_right=True, hide=3),
    Column(name="flag", is_right=True, hide=3),
    Column(name="took", is_right=True, hide=4),
    Column(name="report", hide=6),
    Column(name="sources"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLine:
    """Summary of one run.

    Attributes:
        run_id: Id of the run.
        started_at: Start, UTC.
        finished_at: End, UTC; None before its end.
        flow: Kind of run: `moderate`, `ingest`, `score` or `augment`.
        status: `completed`, `failed`, `interrupted` or `running`.
        note: Reason why a run that recorded no end counts as interrupted; None for others.
        sources: Sources without secrets, or the plan.
        images: Number of its images; None before its end.
        rejected: Number of rejected items; None before its end.
        decisions: Number of images by decision.
        seconds: Duration in seconds; None before its end.
        report: Address of its report in the lake; None without one.
    """

    run_id: str
    started_at: datetime
    finished_at: datetime | None
    flow: str
    status: str
    note: str | None
    sources: tuple[str, ...]
    images: int | None
    rejected: int | None
    decisions: dict[str, int]
    seconds: float | None
    report: str | None

    def to_json(self) -> dict[str, Any]:
        """Return the same as plain values."""
        ends = {
            name: time.isoformat() if time else None
            for name, time in (("started_at", self.started_at), ("finished_at", self.finished_at))
        }
        return asdict(self) | ends | {"sources": list(self.sources)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """Newest runs of a lake, and the number of all."""

    lines: tuple[RunLine, ...]
    n_runs: int


def list_runs(lake: Lake, *, limit: int, why_gone: WhyGone) -> Runs:
    """Return the newest runs of a lake.

    Args:
        lake: Lake of the runs.
        limit: Largest number of runs.
        why_gone: Judge of runs that recorded no end.
    """
    rows = lake.scan("runs")
    # Records are long, so only those that are shown are read.
    ids = (
        rows.group_by("run_id")
        .agg(pl.col("started_at").max())
        .sort("started_at", "run_id", descending=True)
        .collect()["run_id"]
    )
    n_runs = len(ids)
    # The row of a run's end counts before the row of its start.
    latest = (
        lake.rows_of("runs", ids.head(limit), column="run_id")
        .sort("started_at", pl.col("finished_at"), nulls_last=False, maintain_order=True)
        .unique("run_id", keep="last", maintain_order=True)
        .sort("started_at", "run_id", descending=True)
        .collect()
    )
    reports = {file.name for file in lake.store.files(REPORTS)} if len(latest) else set()
    return Runs(
        lines=tuple(_line(lake, row, reports, why_gone) for row in latest.iter_rows(named=True)),
        n_runs=n_runs,
    )


def draw_runs(lake: Lake, runs: Runs, *, width: int | None) -> str:
    """Return runs as a table for a terminal.

    Args:
        lake: Lake of the runs.
        runs: Runs to show.
        width: Line width in cells; None for no limit.
    """
    if not runs.n_runs:
        start = command("moderate", "SOURCE", lake=lake.uri)
        return f"{lake.uri} has no runs yet\nnext\n  {start}"
    rows = [
        (
            line.run_id,
            f"{line.started_at:%Y-%m-%d %H:%M}",
            line.flow,
            line.status,
            _number(line.images),
            _number(line.rejected),
            *(_number(line.decisions.get(decision.value)) for decision in Decision),
            _duration(line.seconds),
            line.report or "-",
            ", ".join(line.sources) or "the whole lake",
        )
        for line in runs.lines
    ]
    count = counted(runs.n_runs, "run")
    if len(rows) < runs.n_runs:
        count = f"{len(rows):,} of {count}; --limit shows more"
    notes = [f"{line.run_id}: {line.note}" for line in runs.lines if line.note]
    return "\n".join([draw_table(_COLUMNS, rows, width=width), *notes, count])


def _line(lake: Lake, row: Mapping[str, Any], reports: set[str], why_gone: WhyGone) -> RunLine:
    params, counts = _opened(row["params"]), _opened(row["counts"])
    status, note = row["status"], None
    if status == RUNNING:
        note = why_gone(_mapping(params.get("process")), row["started_at"])
        status = INTERRUPTED if note else RUNNING
    ended = row["finished_at"]
    report = f"{REPORTS}/{row['run_id']}.html"
    decisions = {str(name): int(n) for name, n in _mapping(counts.get("decisions")).items()}
    return RunLine(
        run_id=row["run_id"],
        started_at=row["started_at"],
        finished_at=ended,
        flow=row["flow"],
        status=status,
        note=note,
        sources=_sources(params),
        images=_n_images(params, counts, decisions),
        rejected=counts.get("rejected"),
        decisions=decisions,
        seconds=None if ended is None else round((ended - row["started_at"]).total_seconds(), 3),
        report=lake.path(report) if report in reports else None,
    )


def _n_images(
    params: Mapping[str, Any], counts: Mapping[str, Any], decisions: Mapping[str, int]
) -> int | None:
    """Return the accepted items of a batch, or the scored images of the lake."""
    if not counts:
        return None
    if params.get("batch_id"):
        return int(counts.get("items", 0)) - int(counts.get("rejected", 0))
    scored = sum(int(counts.get(name, 0)) for name in ("scored", "failed", "already_scored"))
    return scored or sum(decisions.values())


def _sources(params: Mapping[str, Any]) -> tuple[str, ...]:
    if isinstance(params.get("plan_id"), str):
        return (f"plan {params['plan_id']}",)
    sources = params.get("sources")
    return tuple(map(str, sources)) if isinstance(sources, list) else ()


def _opened(text: str | None) -> Mapping[str, Any]:
    """Return the object of a JSON column; empty if it is null or invalid."""
    try:
        return _mapping(json.loads(redact_text(text or "{}")))
    except json.JSONDecodeError:
        return {}


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(n: int | None) -> str:
    return "-" if n is None else f"{n:,}"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"
