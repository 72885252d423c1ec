"""A run as the lake records it: its row in `runs`, and its images with scores and decisions."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import polars as pl

from ...data.commands import command
from ...data.errors import InputError, StoreError
from ...data.score_key import ScoreKey
from ...data.store.lake import Lake
from ...data.text.redaction import redact_text
from ..decide.policy import Policy
from ..decide.recorded_policy import policy_of_record
from ..labels import best_labels
from ..latest_rows import (
    WHOLE,
    Named,
    Part,
    latest_decisions,
    latest_scores,
    latest_sightings,
    rows_of_batch,
)

LATEST: Final = "latest"
_RUNS_NAMED: Final = 5
# Key that no row has, for runs without a detector: they have no scores and no decisions.
_NO_KEY: Final = ScoreKey(detector="", weights_sha256="", profile="", precision="")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """The latest row of one run in `runs`, its JSON columns parsed.

    Attributes:
        run_id: Id of the run.
        flow: Name of the flow, such as `moderate`.
        status: `running`, `completed`, or how the run ended otherwise.
        params: Settings and identities of the run by name.
        counts: Counts of the run by name; empty while it runs.
        code_version: Version of assay that ran.
        started_at: Time of the start, UTC.
        finished_at: Time of the end, UTC; None while it runs.
    """

    run_id: str
    flow: str
    status: str
    params: dict[str, Any]
    counts: dict[str, Any]
    code_version: str
    started_at: datetime
    finished_at: datetime | None

    @property
    def batch_id(self) -> str | None:
        """Id of the ingested batch; None for a run over the whole lake."""
        return self._text("batch_id")

    @property
    def key(self) -> ScoreKey | None:
        """Key of the run's scores and decisions; None without a loaded detector."""
        # Until the detector is loaded, `detector` is the requested name and the rest is missing.
        return ScoreKey.of(self.params)

    @property
    def detector_id(self) -> str | None:
        """Id of the loaded detector; None if none was loaded."""
        return self.key.detector if self.key else None

    @property
    def policy_id(self) -> str | None:
        """Id of the run's policy; None for a run without decisions."""
        return self._text("policy_id")

    def policy(self) -> Policy | None:
        """Return the policy with the run's `policy_id`, recorded or packaged; None if neither."""
        return policy_of_record(self.params, self.policy_id)

    def _text(self, name: str) -> str | None:
        value = self.params.get(name)
        return value if isinstance(value, str) and value else None


def find_run(lake: Lake, run_id: str) -> RunRecord:
    """Return the record of a run: the row written at its end, else the one at its start.

    Args:
        lake: Lake of the run.
        run_id: Id of the run, or `latest` for the last started run that did more than ingest.

    Raises:
        InputError: The lake has no such run, or no run at all.
        StoreError: The record cannot be read.
    """
    if run_id == LATEST:
        run_id = _latest_id(lake)
    rows = (
        lake.rows_of("runs", [run_id], column="run_id")
        .sort("finished_at", nulls_last=False, maintain_order=True)
        .collect()
    )
    if rows.is_empty():
        last = ", ".join(_scoring_runs(lake)[-_RUNS_NAMED:]) or "none"
        raise InputError(f"no run {run_id} in {lake.uri}; the latest runs are {last}")
    row = rows.row(-1, named=True)
    try:
        # Older versions recorded URLs with their secrets.
        params = json.loads(redact_text(row["params"]))
        counts = json.loads(row["counts"] or "{}")
    except json.JSONDecodeError as error:
        raise StoreError(f"{lake.uri}: the record of run {run_id} is not JSON: {error}") from error
    return RunRecord(
        **{name: row[name] for name in ("run_id", "flow", "status", "code_version")},
        params=params,
        counts=counts,
        started_at=row["started_at"],
        finished_at=row["finished_at"],
    )


def _latest_id(lake: Lake) -> str:
    ids = _scoring_runs(lake)
    if ids:
        return ids[-1]
    start = command("moderate", "SOURCE", lake=lake.uri)
    raise InputError(f"{lake.uri} has no runs yet; start one with: {start}")


def _scoring_runs(lake: Lake) -> list[str]:
    """Return the ids of the runs that did more than ingest, the last started one last."""
    runs = lake.scan("runs").filter(pl.col("flow") != "ingest").sort("started_at")
    ids = runs.select(pl.col("run_id").unique(maintain_order=True)).collect()["run_id"]
    return [str(run_id) for run_id in ids]


def ids_of_run(lake: Lake, run: RunRecord) -> pl.Series | None:
    """Return the ids of the images that the run's batch has seen; None for the whole lake."""
    if run.batch_id is None:
        return None
    ids = rows_of_batch(lake, run.batch_id).select(pl.col("image_id").unique()).collect()
    return ids["image_id"].drop_nulls()


def images_by_score(lake: Lake, run_id: str) -> pl.LazyFrame:
    """Return the rows of `run_images` by descending score; images without a score come last.

    Raises:
        InputError: The lake has no record of the run.
        StoreError: The record cannot be read.
    """
    return run_images(lake, find_run(lake, run_id)).sort(
        "prob_fake", "source_uri", descending=[True, False], nulls_last=True
    )


def run_images(lake: Lake, run: RunRecord, *, part: Part | None = None) -> pl.LazyFrame:
    """Return one row per image of the run's batch, or of the lake, in its current state.

    Scores and decisions are those of the run's key and policy, whichever detectors have scored
    the images since.

    Args:
        lake: Lake of the run.
        run: Record of the run.
        part: Part of the images; None for all images of the run.

    Returns:
        Columns image_id, source_uri, domain, detector, backend, score_status, score_reason,
        prob_fake, decision, reasons, label, label_evidence. All but image_id may be null.
    """
    if part is None:
        ids = ids_of_run(lake, run)
        part = WHOLE if ids is None else Named(ids=tuple(ids))
    seen = latest_sightings(lake, batch_id=run.batch_id, part=part)
    frame = seen.select("image_id", "source_uri", "domain")
    key = run.key or _NO_KEY
    scores = latest_scores(lake, key, part=part).select(
        "image_id", "prob_fake", "backend", score_status="status", score_reason="reason"
    )
    decisions = latest_decisions(lake, key, policy_id=run.policy_id or "", part=part).select(
        "image_id", "decision", "reasons"
    )
    labels = best_labels(
        *(part.rows(lake, table) for table in ("reviews", "synthetics", "sightings"))
    )
    for more in (scores, decisions, labels):
        frame = frame.join(more, on="image_id", how="left")
    return frame.with_columns(detector=pl.lit(run.detector_id, dtype=pl.String)).select(
        "image_id",
        "source_uri",
        "domain",
        "detector",
        "backend",
        "score_status",
        "score_reason",
        "prob_fake",
        "decision",
        "reasons",
        "label",
        "label_evidence",
    )
