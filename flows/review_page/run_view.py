"""The run view: the runs of the lake, and of each what it found and what other thresholds would.

The figures are those of the images as they are now, with the labels that people have given since.
The counts at other thresholds are made in the browser, by the script of the report.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter, HTTPException, Path, Request, Response

from ...data.commands import command
from ...data.vocabulary import DecisionReason, Reason
from ...tasks.browse.runs import REPORTS, list_runs
from ...tasks.decide.open_policy import open_policy
from ...tasks.decide.policy_file import load_policy
from ...tasks.grid.run_figures import RunFigures, figures_of, items_of
from ...tasks.grid.snapshots import Snapshot
from ...tasks.pages.captions import SIGNS, cut
from ...tasks.pages.histogram import LEFT_PX, histogram_svg
from ...tasks.rejections import remedy_of
from ...tasks.report.facts import ReportFacts
from ...tasks.report.thresholds import CELL_COLUMNS, DECISIONS, LABELS
from ...tasks.runs.run_record import RunRecord, find_run
from ..dead_runs import this_process, why_gone
from .desk import Desk, desk_of, render

MAX_RUNS: Final = 200
_WAIT_S: Final = 2.0

RunId = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]

router = APIRouter(prefix="/runs")


class FiguresOfLast:
    """The figures of the run that was looked at last, until its images change."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: tuple[str, Snapshot, RunFigures, ReportFacts] | None = None

    def get(self, desk: Desk, run: RunRecord, snapshot: Snapshot) -> tuple[RunFigures, ReportFacts]:
        """Return the figures of a run and of its items."""
        with self._lock:
            kept = self._kept
            if kept is None or kept[0] != run.run_id or kept[1] is not snapshot:
                figures = figures_of(desk.lake, run, run.policy(), snapshot.table)
                kept = self._kept = (run.run_id, snapshot, figures, items_of(desk.lake, run))
        return kept[2], kept[3]


_LAST: Final = FiguresOfLast()


@router.get("")
def runs_page(request: Request) -> Response:
    """List the runs of the lake, the newest first."""
    gone = partial(why_gone, here=this_process(), now=datetime.now(UTC))
    found = list_runs(desk_of(request).lake, limit=MAX_RUNS, why_gone=gone)
    return render(
        request, "runs.html.jinja", runs=found.lines, n_runs=found.n_runs, signs=SIGNS, cut=cut
    )


@router.get("/{run_id}/report.html")
def report(request: Request, run_id: RunId) -> Response:
    """Return the report of a run as a file; it has a policy of its own for what it may load."""
    raw = desk_of(request).lake.store.read(f"{REPORTS}/{run_id}.html")
    if raw is None:
        raise HTTPException(404, f"run {run_id} has no report; `assay report {run_id}` writes it")
    name = f'attachment; filename="{run_id}.html"'
    return Response(raw, media_type="text/html", headers={"Content-Disposition": name})


@router.get("/{run_id}")
def run_page(request: Request, run_id: RunId) -> Response:
    """Show a run."""
    desk = desk_of(request)
    run = find_run(desk.lake, run_id)
    if not desk.snapshots.is_ready(run.run_id, timeout_s=_WAIT_S):
        return render(request, "wait.html.jinja", what="the images of the run")
    figures, items = _LAST.get(desk, run, desk.snapshots.get(run.run_id))
    has_report = desk.lake.store.size(f"{REPORTS}/{run.run_id}.html") is not None
    decided = sum(figures.decisions.values())
    return render(
        request,
        "run.html.jinja",
        run=run,
        sources=[cut(str(source)) for source in (run.params.get("sources") or [])[:4]],
        figures=figures,
        items=items,
        signs=SIGNS,
        n_decided=decided,
        reasons=_reasons(figures.reasons),
        failures=[
            (Reason.text_of(word), remedy_of(word), n) for word, n in figures.failures.items()
        ],
        rejected=[
            (word, Reason.text_of(word), remedy_of(word), n, examples)
            for word, (n, examples) in items.rejected.items()
        ],
        wide=histogram_svg(figures.histogram, figures.band, width_px=1090),
        narrow=histogram_svg(figures.histogram, figures.band, width_px=340, n_bins=20),
        is_known_policy=run.policy() is not None,
        page_data=_page_data(desk, run, figures),
        report_path=desk.lake.path(REPORTS, f"{run.run_id}.html") if has_report else None,
        report_command=command("report", run.run_id, lake=desk.lake.uri),
        grid=partial(_grid_link, run.run_id),
    )


def _grid_link(run_id: str, **conditions: str) -> str:
    return "/grid?" + urlencode({"run": run_id, **conditions})


def _reasons(counts: Mapping[str, int]) -> list[tuple[str, str, int]]:
    """Return words, texts and counts in the order of `DecisionReason`, in which notes come last."""
    known = [reason.value for reason in DecisionReason if reason.value in counts]
    words = [*known, *sorted(set(counts) - set(known))]
    return [(word, DecisionReason.text_of(word), counts[word]) for word in words]


def _page_data(desk: Desk, run: RunRecord, figures: RunFigures) -> dict[str, Any]:
    """Return what the script reads: counts by step, and the policy files to fill in."""
    policy = run.policy() or load_policy()
    detector = run.detector_id or ""
    files = [
        open_policy(policy, detector=detector, domain=domain)
        for domain in (None, *(group.domain for group in figures.groups))
    ]
    name = detector.partition("@")[0]
    return {
        "signs": SIGNS,
        "decisions": DECISIONS,
        "labels": LABELS,
        "steps": figures.steps.tolist(),
        "band": [figures.band.review_at, figures.band.flag_at],
        "groups": [
            [group.name, group.n_images, group.review_step, group.flag_step, own, file]
            for group, own, file in zip(figures.groups, figures.own, files[1:], strict=True)
        ],
        "policy": files[0],
        "cells": {column: figures.cells[column].to_list() for column in CELL_COLUMNS},
        "plot_left": LEFT_PX,
        "command": command("score", policy="policy.toml", detector=name, lake=desk.lake.uri),
        "domains": [group.domain for group in figures.groups],
        "grid": _grid_link(run.run_id),
    }
