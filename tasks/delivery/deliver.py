"""The delivery check: flagged images are scored again in the forms in which they reach viewers.

A delivery never replaces the score: it can only move an image from flag to review. The first
delivery is scored alone, and the others only for the images whose flag holds under it. Rows are
committed like scores; a delivery of an image that has a row is not scored again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from ...data.errors import SynthError, UnreadableImage
from ...data.images.decode import decode_rgb
from ...data.images.inspect_image import DEFAULT_LIMITS, ImageLimits
from ...data.schema import Row
from ...data.score_key import ScoreKey
from ...data.store.lake import Lake
from ...data.vocabulary import Reason, ScoreStatus
from ...synth.laundering import DELIVERIES, Condition
from ..append_missing import append_missing
from ..detector.inputs.preprocess import preprocess
from ..detector.streaming import Forwarded, Pixels, forward_stream
from ..work.commit_portions import commit_portions

if TYPE_CHECKING:
    from ..detector.detector import Detector

BY_NAME = {delivery.name: delivery for delivery in DELIVERIES}


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryCounts:
    """Counts of a pass over deliveries.

    Attributes:
        scored: Deliveries scored.
        failed: Deliveries that could not be made or scored.
    """

    scored: int = 0
    failed: int = 0

    def __add__(self, other: DeliveryCounts) -> DeliveryCounts:
        return DeliveryCounts(
            **{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)}
        )


def deliver_shard(
    lake: Lake,
    shard: str,
    image_ids: Sequence[str],
    detector: Detector,
    *,
    run_id: str,
    n_workers: int | None = None,
    limits: ImageLimits = DEFAULT_LIMITS,
    on_item: Callable[[int], None] | None = None,
) -> DeliveryCounts:
    """Score the next deliveries of images in one shard, and commit one row per delivery.

    The next delivery of an image without rows is the first one; then come all others.

    Args:
        lake: Lake of the images.
        shard: Name of the shard, part of the transactions' names.
        image_ids: Ids of images in that shard, from `deliveries_pending`.
        detector: Detector that scores.
        run_id: Id of the run, written to the rows.
        n_workers: Number of threads; default: one per core.
        limits: Limits on decoding.
        on_item: Callback with the number of images finished since its last call.

    Raises:
        StoreError: Bytes cannot be read, or rows cannot be written; committed rows stay.
        BaseException: Any other error, after a commit of the finished rows; see `kept_of`.
    """
    since = lake.version("deliveries")
    missing = {
        image_id: names[:1] if len(names) == len(DELIVERIES) else names
        for image_id, names in missing_of(lake, detector.key, image_ids).items()
        if names
    }

    def prepare(job: _Job) -> tuple[tuple[str, str], Pixels | Reason]:
        return (job.image_id, job.delivery.name), _pixels(job, detector, limits)

    def parts() -> Iterator[tuple[list[Row], int]]:
        jobs = _jobs(lake, missing)
        for part in forward_stream(detector, jobs, prepare, n_workers=n_workers):
            rows = [
                _row(image_id, name, forwarded, detector, run_id)
                for (image_id, name), forwarded in part
            ]
            yield rows, sum(name == missing[image_id][-1] for (image_id, name), _ in part)

    def commit(rows: Sequence[Row]) -> DeliveryCounts:
        return _counts_of(_commit(lake, rows, detector.key, run_id, since))

    return commit_portions(parts(), commit, DeliveryCounts(), on_item=on_item)


def missing_of(lake: Lake, key: ScoreKey, image_ids: Sequence[str]) -> dict[str, list[str]]:
    """Return the names of the deliveries without a row, per image, in the order of the list.

    Args:
        lake: Lake of the deliveries.
        key: Key of the scores.
        image_ids: Ids of the images.
    """
    rows = lake.rows_of("deliveries", image_ids).filter(key.where())
    known = set(rows.select("image_id", "delivery").collect().iter_rows())
    return {
        image_id: [each.name for each in DELIVERIES if (image_id, each.name) not in known]
        for image_id in image_ids
    }


@dataclass(frozen=True, slots=True)
class _Job:
    image_id: str
    raw: bytes
    delivery: Condition


def _jobs(lake: Lake, missing: Mapping[str, Sequence[str]]) -> Iterator[_Job]:
    for image_id, raw in lake.images(list(missing)) if missing else ():
        for name in missing[image_id]:
            yield _Job(image_id, raw, BY_NAME[name])


def _pixels(job: _Job, detector: Detector, limits: ImageLimits) -> Pixels | Reason:
    """Return the network's input for a delivery of an image, or the reason for having none."""
    try:
        rgb = decode_rgb(job.raw, detector.profile.decode, limits=limits)
        return preprocess(job.delivery.apply(np.asarray(rgb)), detector.profile, limits)
    except UnreadableImage as error:
        return error.reason
    except SynthError:
        return Reason.NOT_MADE
    except MemoryError:
        return Reason.OUT_OF_MEMORY


def _counts_of(rows: Sequence[Row]) -> DeliveryCounts:
    n_failed = sum(row["reason"] is not None for row in rows)
    return DeliveryCounts(scored=len(rows) - n_failed, failed=n_failed)


def _row(
    image_id: str, delivery: str, forwarded: Forwarded, detector: Detector, run_id: str
) -> Row:
    reason = forwarded if isinstance(forwarded, Reason) else None
    return {
        "image_id": image_id,
        **detector.key.as_row(),
        "backend": detector.backend,
        "delivery": delivery,
        "status": (ScoreStatus.SCORED if reason is None else ScoreStatus.FAILED).value,
        "reason": None if reason is None else reason.value,
        "logit": forwarded[0] if isinstance(forwarded, tuple) else None,
        "run_id": run_id,
        "scored_at": datetime.now(UTC),
    }


def _commit(
    lake: Lake, rows: Sequence[Row], key: ScoreKey, run_id: str, since: int | None
) -> list[Row]:
    """Append the deliveries that no other run has scored under the key meanwhile."""
    return append_missing(
        lake,
        "deliveries",
        rows,
        since=since,
        name=_name,
        taken=lambda rows_since: {
            _name(row)
            for row in rows_since.filter(key.where())
            .select("image_id", "delivery")
            .collect()
            .iter_rows(named=True)
        },
        txn=f"deliveries:{run_id}:{key.digest()}",
    )


def _name(row: Row) -> str:
    return f"{row['image_id']}:{row['delivery']}"
