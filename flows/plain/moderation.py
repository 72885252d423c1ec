"""The steps from sources to a report: ingest, score, decide, report.

Each of the first three is a run of its own in the lake's `runs`. Known items are not read again,
scored images not scored again, and equal decisions not written again, so a repeated step costs
little and changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Final, Unpack

from ...data.errors import ConfigError
from ...data.store.lake import Lake
from ...tasks.delivery.deliver import DeliveryCounts
from ...tasks.report.write import write_report
from ...tasks.score import ScoreCounts
from ...tasks.views import ViewCounts
from ..fields.plain_values import source_text
from ..judging import identity_of, policy_of
from ..request import Request
from ..results.moderation import Moderation
from ..run import run
from ..settings.faces import IngestKeywords, ScoreKeywords
from ..steps import Steps
from .known_batch import source_of
from .references import Batch, Decided, Scored
from .step_settings import handed_on, step_request

Text = str | PathLike[str]
_INGEST: Final = tuple(IngestKeywords.__annotations__)
_SCORE: Final = tuple(ScoreKeywords.__annotations__)


def ingest(sources: Text | Sequence[Text], **settings: Unpack[IngestKeywords]) -> Batch:
    """Read sources into the lake, without scoring them.

    Args:
        sources: Files, folders, globs, archives, tables or URLs, one or several.
        **settings: Lake, threads, and options for sources, as of `assay.moderate`.

    Returns:
        The batch: all items of the sources, also those that were known.

    Raises:
        AssayError: A source or the lake cannot be used.
        ConfigError: No source is named, or a setting does not exist.
        TooManyRejected: The batch is complete, and more items are rejected than
            `fail_on_rejected` allows.
        TypeError: A source or a setting has another type.
    """
    several = [sources] if isinstance(sources, str | PathLike) else list(sources)
    if not several:
        raise ConfigError("ingest has no sources; name at least one")
    texts = tuple(source_text(place, one) for place, one in enumerate(several, 1))
    request = step_request(settings, _INGEST, sources=texts)
    result = run(request, flow="ingest")
    return Batch(**fields_of_run(result, handed_on(request, _INGEST)))


def score(batch: Batch | None = None, **settings: Unpack[ScoreKeywords]) -> Scored:
    """Score the images that the detector has not scored yet.

    Args:
        batch: Batch to score; None for all images of the lake.
        **settings: Detector, policy, threads and, without a batch, the lake, as of
            `assay.moderate`.

    Raises:
        AssayError: The lake, the detector or the policy cannot be used.
        TypeError: A setting has another type.
    """
    request = step_request(settings, _SCORE, batch=batch)
    calls = Steps(decide=_no_decisions, report=_no_report)
    result = run(request, calls=calls, flow="score", source=source_of(batch))
    carried = (batch.settings if batch else {}) | handed_on(request, _SCORE)
    return Scored(
        **fields_of_run(result, carried),
        **identity_of(request).key.as_row(),
        **scored_of_run(result),
    )


def decide(scored: Scored, *, policy: Text | None = None) -> Decided:
    """Decide all images of a scored batch, by the scores of its key.

    Args:
        scored: Batch to decide.
        policy: Policy file (TOML); default: the policy of `score`.

    Raises:
        AssayError: The lake or the policy cannot be used.
        ConfigError: The detector of that name is not the one that scored the batch.
    """
    given = {} if policy is None else {"policy": policy}
    request = step_request(given, ("policy",), batch=scored)
    identity = identity_of(request)
    if identity.key != scored.key:
        raise ConfigError(
            f"the batch was scored by {scored.key.describe()}, and {request.detector} is "
            f"{identity.key.describe()} here; score it again"
        )
    calls = Steps(score=_no_scores, views=_no_views, deliver=_no_deliveries, report=_no_report)
    result = run(request, calls=calls, flow="decide", source=source_of(scored))
    names = ("score_run_id", "scored", "failed", "already_scored")
    return Decided(
        **fields_of_run(result, scored.settings | handed_on(request, ("policy",))),
        **scored.key.as_row(),
        **{name: getattr(scored, name) for name in names},
        policy_id=policy_of(request, identity).policy_id,
        decisions=dict(result.decisions),
    )


def report(batch: Batch, *, out: Text | None = None) -> str:
    """Write the report of the last step over a batch.

    Args:
        batch: Batch, usually a decided one; of others, the report has what they have.
        out: File to write; default: `reports/<run_id>.html` in the lake.

    Returns:
        Address of the file.

    Raises:
        AssayError: The lake cannot be read, or the file cannot be written.
    """
    lake = Lake(batch.lake, create=False)
    return write_report(lake, run_id=batch.run_id, out=None if out is None else Path(out))


def fields_of_run(result: Moderation, settings: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a batch after a run."""
    return {
        "lake": result.lake,
        "batch_id": result.batch_id,
        "run_id": result.run_id,
        "settings": settings,
        "items": result.items,
        "stored": result.stored,
        "duplicates": result.duplicates,
        "rejected": result.rejected,
        "unchanged": result.unchanged,
    }


def scored_of_run(result: Moderation) -> dict[str, Any]:
    """Return the id of a run that scored, and its counts of scores."""
    return {
        "score_run_id": result.run_id,
        "scored": result.scored,
        "failed": result.failed,
        "already_scored": result.already_scored,
    }


# What a run calls in the place of steps that are called one by one.


def _no_scores(
    lake: Lake, request: Request, run_id: str, shard: str, image_ids: Sequence[str]
) -> ScoreCounts:
    return ScoreCounts()


def _no_views(
    lake: Lake, request: Request, run_id: str, shard: str, image_ids: Sequence[str]
) -> ViewCounts:
    return ViewCounts()


def _no_deliveries(
    lake: Lake, request: Request, run_id: str, shard: str, image_ids: Sequence[str]
) -> DeliveryCounts:
    return DeliveryCounts()


def _no_decisions(
    lake: Lake, request: Request, run_id: str, batch_id: str | None
) -> dict[str, int]:
    return {}


def _no_report(lake: Lake, run_id: str) -> str:
    return ""
