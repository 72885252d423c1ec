"""A moderation result as a notebook cell of less than 300 kB: counts, scores, blurred images.

The cell has no script, fetches nothing, and escapes all text from outside. Images stay hidden in
viewers that drop styles too, since a closed `details` element hides its content.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ...data.store.lake import Lake
from ...tasks.drift.of_run import drift_of_record
from ...tasks.pages.captions import SIGNS
from ...tasks.pages.environment import environment
from ...tasks.pages.histogram import histogram_svg
from ...tasks.promise.promise import promise_of
from ...tasks.promise.words import statement_of
from ...tasks.report.facts import ReportFacts, gather
from ...tasks.runs.run_record import find_run
from .gallery import small_images, tile

N_IMAGES: Final = 24


def result_html(lake_uri: str, run_id: str, *, head: str, counts: Mapping[str, Any]) -> str:
    """Return the cell's HTML.

    Args:
        lake_uri: Folder of the lake, or its s3:// prefix.
        run_id: Id of the run.
        head: Scope of the run, as text.
        counts: Result of the run as plain values: counts, decisions, seconds, report.

    Raises:
        StoreError: The lake or the run's record cannot be read.
    """
    lake = Lake(lake_uri, create=False)
    run = find_run(lake, run_id)
    policy = run.policy()
    facts = gather(lake, run, policy, n_images=N_IMAGES)
    band = policy.band(run.detector_id)[0] if policy and run.detector_id else None
    promise = promise_of(lake, policy, run.key) if policy and run.key else None
    images = _images(facts)
    small = small_images(lake, [row["image_id"] for row in images])
    template = environment(Path(__file__).parent).get_template("cell.html.jinja")
    return template.render(
        result=counts,
        head=head,
        promise=None if promise is None else statement_of(promise),
        drift=drift_of_record(run.counts),
        signs=SIGNS,
        histogram=histogram_svg(facts.histogram, band, width_px=640) if facts.histogram else None,
        images=[tile(row, small) for row in images],
    )


def _images(facts: ReportFacts) -> list[dict[str, Any]]:
    """Return at most 24 different images: first the highest, then the nearest and the lowest."""
    chosen: dict[str, dict[str, Any]] = {}
    for rows, until in (
        (facts.highest, N_IMAGES // 2),
        (facts.nearest, N_IMAGES * 3 // 4),
        (facts.lowest, N_IMAGES),
    ):
        for row in rows:
            if len(chosen) >= until:
                break
            chosen.setdefault(row["image_id"], row)
    return sorted(chosen.values(), key=lambda row: -row["prob_fake"])
