"""Counts and identities of a run, as the report names them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...data.package_versions import package_versions
from ...data.score_key import UNVERIFIED
from ...data.text.wording import counted
from ..runs.run_record import RunRecord
from .facts import ReportFacts


def tiles_of(run: RunRecord, facts: ReportFacts) -> list[tuple[str, int]]:
    """Return the counts of the run's record, and those of the tables where it has none yet."""
    counted = {
        "items": sum(facts.statuses.values()) or facts.n_images,
        "stored": facts.statuses.get("stored", 0),
        "duplicates": facts.statuses.get("duplicate", 0),
        "rejected": facts.statuses.get("rejected", 0),
        "scored": facts.n_scored,
        "failed": sum(facts.failures.values()),
    } | {name: n for name, n in run.counts.items() if isinstance(n, int)}
    tiles = [("images in the lake" if run.batch_id is None else "items", counted["items"])]
    if run.batch_id is None:
        tiles = [("images", facts.n_images)]
    else:
        tiles += [(name, counted[name]) for name in ("stored", "duplicates", "rejected")]
    if run.detector_id is not None:
        tiles.append(("scored now", counted["scored"]))
        if counted.get("already_scored"):
            tiles.append(("already scored", counted["already_scored"]))
        tiles.append(("failed", counted["failed"]))
    return tiles


def what_ran(run: RunRecord, lake_uri: str, facts: ReportFacts) -> list[tuple[str, str]]:
    """Return what decides the scores of a run, and when and where it ran, as names and texts.

    Args:
        run: Record of the run.
        lake_uri: Address of the lake.
        facts: Figures of the run.
    """
    params, counts = run.params, run.counts
    of_run = params.get("versions")
    versions = of_run if isinstance(of_run, dict) else package_versions()
    listed = ", ".join(f"{package} {number}" for package, number in versions.items())
    time = ""
    if run.finished_at is not None:
        seconds = counts.get("seconds", (run.finished_at - run.started_at).total_seconds())
        time = f"{seconds:,.1f} s"
        if counts.get("images_per_second"):
            time += f", {counts['images_per_second']:,.1f} images scored per second"
    rows = {
        "detector": run.detector_id,
        "weights (sha256)": _weights(params),
        "preprocessing": params.get("profile") if run.detector_id else None,
        "backend": _backends(facts.backends) or params.get("backend"),
        "precision": params.get("precision") if run.detector_id else None,
        "policy": run.policy_id,
        "versions": listed if of_run else f"{listed} (when this report was written)",
        "assay version": None if of_run and "assay" in of_run else run.code_version,
        "time": time,
        "batch": run.batch_id,
        "lake": lake_uri,
    }
    return [(name, str(value)) for name, value in rows.items() if value]


def _weights(params: Mapping[str, Any]) -> str | None:
    """Return the hash of the weights, marked if no registry or card pins it."""
    digest = params.get("weights_sha256")
    # Older runs did not record whether the hash was pinned.
    if digest is None or params.get("weights_pinned") is not False:
        return digest
    is_marked = str(digest).startswith(UNVERIFIED)
    return str(digest) if is_marked else f"{digest} (unverified: this hash is not pinned)"


def _backends(counts: Mapping[str, int]) -> str:
    """Return the names of the backends, each with its number of images if there are several."""
    if len(counts) < 2:
        return "".join(counts)
    return ", ".join(f"{name} ({counted(n, 'image')})" for name, n in counts.items())
