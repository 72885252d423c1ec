"""Events of assay: their names, what they concern, and their payloads.

A payload has ids, counts, and addresses that the operator has chosen, or that lie below such a one.
It has no other text from outside: no file names, no labels, no messages of errors. Nor has it the
marks of Jinja's templates, since Prefect renders some templates twice: the result of the first as a
template again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID, uuid4

from ...data.errors import shorten
from ...data.text.redaction import redact_url
from ..blocks.names import is_block

if TYPE_CHECKING:
    from ...tasks.drift.of_run import DriftFigures, RunDrift
    from ...tasks.publish.publish import PublishResult
    from ..plain.references import Batch, Compared, Dataset
    from ..results.moderation import Moderation

ANNOUNCED: Final = "assay.batch.announced"
INGESTED: Final = "assay.batch.ingested"
COMPLETED: Final = "assay.run.completed"
FAILED: Final = "assay.run.failed"
FLAGGED: Final = "assay.images.flagged"
DRIFTED: Final = "assay.drift.found"
PUBLISHED: Final = "assay.dataset.published"

_SOURCE_CHARS: Final = 1000
_TEMPLATE: Final = re.compile(r"\{(?=[{%#])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event.

    Attributes:
        name: Name of the event, such as "assay.run.completed".
        resource: Kind and id of what it concerns: batch, run, lake or dataset.
        related: Kind and id of everything else that it names.
        payload: Ids and counts as JSON values.
        event_id: Id of the event; a repeated event with the same id counts once.
    """

    name: str
    resource: tuple[str, str]
    related: tuple[tuple[str, str], ...]
    payload: Mapping[str, Any]
    event_id: UUID

    def to_json(self) -> dict[str, Any]:
        """Return the event as Prefect's API takes it, without the time."""
        return {
            "event": self.name,
            "resource": _labels(*self.resource),
            "related": [
                _labels(kind, known_by) | {"prefect.resource.role": kind}
                for kind, known_by in self.related
            ],
            "payload": dict(self.payload),
            "id": str(self.event_id),
        }


def _labels(kind: str, known_by: str) -> dict[str, str]:
    return {"prefect.resource.id": f"assay.{kind}.{known_by}", "prefect.resource.name": known_by}


def batch_ingested(run: Moderation | Batch, flow: str) -> Event:
    """Return the event of a batch whose items are all in the lake."""
    counts = ("items", "stored", "duplicates", "rejected", "unchanged")
    return _of_run(INGESTED, run, flow, counts, about="batch")


def run_completed(run: Moderation, flow: str) -> Event:
    """Return the event of a complete run."""
    counts = (
        *("items", "stored", "duplicates", "rejected", "unchanged"),
        *("scored", "failed", "already_scored", "decisions", "seconds", "report"),
    )
    return _of_run(COMPLETED, run, flow, counts)


def run_failed(run: Moderation, flow: str, *, status: str) -> Event:
    """Return the event of a run that has ended early, with the counts of what is committed.

    Args:
        run: Counts so far.
        flow: Name of the run in the `runs` table.
        status: "failed" or "interrupted".
    """
    counts = ("items", "stored", "duplicates", "rejected", "scored", "failed")
    return _of_run(FAILED, run, flow, counts, more={"status": status})


def images_flagged(run: Moderation, flow: str, *, limit: float) -> Event:
    """Return the event of a run whose share of flagged images exceeds the limit."""
    more = {
        "flagged": run.decisions.get("flag", 0),
        "decided": sum(run.decisions.values()),
        "share": round(run.flagged_share, 6),
        "limit": limit,
    }
    return _of_run(FLAGGED, run, flow, (), more=more)


def drift_found(
    drift: DriftFigures,
    *,
    lake: str,
    limit: float,
    groups: int = 1,
    source: str | None = None,
    run_id: str | None = None,
    batch_id: str | None = None,
    flow: str | None = None,
) -> Event:
    """Return the event of a drift beyond its limit.

    Args:
        drift: The drift; of several groups, that of the group that has shifted most.
        lake: Address of the lake.
        limit: Smallest distance that counts as a shift.
        groups: Number of groups that have shifted.
        source: Folder, archive or address above the images of `drift`; None for all images.
        run_id: Run whose images are the later ones; None for a span of time.
        batch_id: Batch of the run.
        flow: Name of the run in the `runs` table.
    """
    lake = _address(lake)
    involved = {"run": run_id, "batch": batch_id}
    payload = {
        "run_id": run_id,
        "batch_id": batch_id,
        "lake": lake,
        "flow": flow,
        "source": None if source is None else shorten(source, _SOURCE_CHARS),
        "verdict": drift.verdict,
        "measures": dict(drift.measures),
        "limit": limit,
        "images_before": drift.images_before,
        "images_after": drift.images_after,
        "groups": groups,
    }
    related = tuple((kind, text) for kind, text in involved.items() if text)
    return _event(DRIFTED, ("lake", lake), related, payload)


def drift_of_run(
    drift: RunDrift, *, lake: str, run_id: str, batch_id: str | None, flow: str
) -> Event | None:
    """Return the event of the drift of a run, with the source that has shifted most; None without.

    Args:
        drift: Drift of the run.
        lake: Address of the lake.
        run_id: Id of the run.
        batch_id: Batch of the run.
        flow: Name of the run in the `runs` table.
    """
    if not drift.has_drifted:
        return None
    first = next(iter(drift.sources), None)
    return drift_found(
        first or drift,
        lake=lake,
        limit=drift.limit,
        groups=max(1, len(drift.sources)),
        source=None if first is None else first.source,
        run_id=run_id,
        batch_id=batch_id,
        flow=flow,
    )


def drift_of_step(compared: Compared) -> Event | None:
    """Return the event of the drift that a step has found; None without one."""
    if compared.drift is None:
        return None
    return drift_of_run(
        compared.drift,
        lake=compared.lake,
        run_id=compared.run_id,
        batch_id=compared.batch_id,
        flow="score",
    )


def dataset_published(published: PublishResult | Dataset, *, lake: str) -> Event:
    """Return the event of a published dataset.

    Args:
        published: Result of the publication.
        lake: Address of the lake.
    """
    place, lake = _address(published.out), _address(lake)
    payload = {
        "dataset": place,
        "lake": lake,
        "images": sum(published.splits.values()),
        "splits": dict(published.splits),
        "labels": dict(published.labels),
        "groups": published.groups,
        "versions": dict(published.versions),
    }
    return _event(PUBLISHED, ("dataset", place), (("lake", lake),), payload)


def batch_announced(
    batch_id: str, *, source: str, prefix: str, files: int, n_bytes: int, event_id: UUID
) -> Event:
    """Return the event of new files that wait for a run.

    Args:
        batch_id: Id of the batch of a run with this source alone.
        source: Address of the listing that names the files.
        prefix: Watched folder or prefix.
        files: Number of files.
        n_bytes: Size of the files in bytes.
        event_id: Id of the event, the same whenever it is sent again.
    """
    payload = {
        "batch_id": batch_id,
        "source": source,
        "prefix": prefix,
        "files": files,
        "bytes": n_bytes,
    }
    about = ("batch", batch_id)
    return _event(ANNOUNCED, about, (("prefix", prefix),), payload, event_id=event_id)


def _of_run(
    name: str,
    run: Moderation | Batch,
    flow: str,
    counts: tuple[str, ...],
    *,
    about: str = "run",
    more: Mapping[str, Any] | None = None,
) -> Event:
    lake = _address(run.lake)
    involved = {"run": run.run_id, "batch": run.batch_id, "lake": lake}
    payload = {
        "run_id": run.run_id,
        "batch_id": run.batch_id,
        "lake": lake,
        "flow": flow,
        **{name: getattr(run, name) for name in counts},
        **(more or {}),
    }
    return _event(
        name,
        (about, str(involved[about])),
        tuple((kind, text) for kind, text in involved.items() if text and kind != about),
        payload,
    )


def _event(
    name: str,
    resource: tuple[str, str],
    related: tuple[tuple[str, str], ...],
    payload: Mapping[str, Any],
    *,
    event_id: UUID | None = None,
) -> Event:
    return Event(
        name=name,
        resource=(resource[0], without_templates(resource[1])),
        related=tuple((kind, without_templates(known_by)) for kind, known_by in related),
        payload={
            key: without_templates(value) if isinstance(value, str) else value
            for key, value in payload.items()
        },
        event_id=event_id or uuid4(),
    )


def without_templates(text: str) -> str:
    """Return a text in which no template begins: the brace that would begin one is encoded."""
    return _TEMPLATE.sub("%7B", text)


def _address(place: str) -> str:
    """Return an absolute path, a URL without secrets, or the name of a lake's block."""
    if is_block(place):
        return place
    return redact_url(place) if "://" in place else str(Path(place).absolute())
