"""Decisions made again from stored scores under a policy, recorded as a run; no model is loaded."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import polars as pl

from ...data.errors import ConfigError
from ...data.score_key import ScoreKey
from ...data.store.lake import Lake
from ...tasks.accountability.verify_log import ANCHOR
from ...tasks.decide.decide_images import decide_images
from ...tasks.decide.decision_log import tail_of
from ...tasks.decide.measures_pending import measures_pending
from ...tasks.decide.policy import Policy
from ...tasks.detector.selection.measurements import drift_allowance
from ...tasks.latest_rows import Judgement, last_judgement
from ...tasks.measures.measures import measure_images
from ...tasks.redecide.changes import Change, count_changes, ids_since, read_changes
from ...version import __version__
from .. import progress
from ..dead_runs import this_process
from ..run_state import new_run_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadow:
    """What a policy would change, before anything is written.

    Attributes:
        before: Last use of the scores: their key, and the policy of the decisions that stand.
        policy: The policy, widened by the drift of the precision.
        image_ids: Ids of the images; None for all images of the lake.
        changes: Changes by their two words.
        n_unmeasured: Number of images that the policy needs measures of and that have none.
    """

    before: Judgement
    policy: Policy
    image_ids: pl.Series | None
    changes: list[Change]
    n_unmeasured: int = 0


def shadow(
    lake: Lake,
    policy: Policy,
    *,
    detector: str | None = None,
    precision: str | None = None,
    since: datetime | None = None,
    measures: bool = False,
) -> Shadow:
    """Return what a policy would change; no decision is written.

    Args:
        lake: Lake with scores.
        policy: Policy to apply.
        detector: Detector of the scores [default: that of the last decisions].
        precision: Precision of the scores [default: that of the last decisions].
        since: Earliest time at which an image was last seen; None for all images.
        measures: Whether images that the policy needs measures of are measured first. Without
            them, rules on pixels and known hashes say nothing of these images.

    Raises:
        ConfigError: The lake has no such scores, or the drift of their precision is not known on
            this machine, or the calibration of the policy cannot be used.
        StoreError: The lake cannot be read, or measures cannot be written.
    """
    before = last_judgement(lake, detector=detector, precision=precision)
    if before is None:
        raise ConfigError(f"{lake.uri} has no scores to decide by; run `assay score` first")
    widened = policy.widened(_drift_logit(before.key))
    ids = ids_since(lake, since)
    left = measures_pending(lake, widened, image_ids=ids)
    if measures and not left.is_empty():
        measure(lake, left)
        left = left.clear()
    rows = read_changes(lake, widened, before.key, ids)
    return Shadow(
        before=before,
        policy=widened,
        image_ids=ids,
        changes=count_changes(rows),
        n_unmeasured=left.height,
    )


def measure(lake: Lake, left: pl.DataFrame) -> int:
    """Measure the pixels of images, with progress, and return the number of new rows.

    Args:
        lake: Lake of the images.
        left: Column image_id, as from `measures_pending`.

    Raises:
        StoreError: The lake cannot be read or written; committed rows stay.
    """
    watcher = progress.current()
    watcher.begin("measure", left.height)
    n_rows = measure_images(lake, left["image_id"].to_list(), on_item=watcher.advance)
    watcher.end()
    return n_rows


def decide_again(lake: Lake, seen: Shadow, *, since: datetime | None = None) -> str:
    """Write the decisions of a policy, record the run, and return the run's id.

    Args:
        lake: Lake with scores.
        seen: Changes by the policy, from `shadow`.
        since: Earliest time at which an image was last seen, for the record.

    Raises:
        CommitConflict: Other writers won every attempt.
        StoreError: The lake cannot be read or written.
    """
    run_id = new_run_id()
    started_at = datetime.now(UTC)
    key, policy = seen.before.key, seen.policy
    params = {
        **key.as_row(),
        "policy_id": policy.policy_id,
        "policy_rules": policy.as_dict(),
        "since": None if since is None else since.isoformat(),
        "process": this_process(),
    }

    def record(status: str, counts: dict[str, Any] | None) -> None:
        row = {
            "run_id": run_id,
            "flow": "decide",
            "status": status,
            "params": json.dumps(params),
            "config_sha256": "",
            "code_version": __version__,
            "started_at": started_at,
            "finished_at": None if counts is None else datetime.now(UTC),
            "counts": None if counts is None else json.dumps(counts),
        }
        lake.append("runs", [row], txn=f"run:{run_id}:{status}")

    record("running", None)
    try:
        decisions = decide_images(
            lake, image_ids=seen.image_ids, key=key, policy=policy, run_id=run_id
        )
    except BaseException:
        record("failed", {})
        raise
    record("completed", {"decisions": decisions, ANCHOR: tail_of(lake, run_id).to_json()})
    return run_id


def _drift_logit(key: ScoreKey) -> float:
    drift_logit = drift_allowance(key.weights_sha256, key.precision)
    if drift_logit is None:
        raise ConfigError(
            f"the drift of {key.detector} in {key.precision} is not known on this machine; run"
            " `assay score`, which measures it, or name scores in fp32 with --precision fp32"
        )
    return drift_logit
