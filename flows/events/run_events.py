"""Events and notifications of one run, which the flows send as the run reaches its stages."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from ...data.text.wording import counted
from ..request import Request
from ..results.moderation import Moderation
from ..run_state import Stage, Tell, new_run_id
from .event import (
    Event,
    batch_ingested,
    drift_of_run,
    images_flagged,
    run_completed,
    run_failed,
)
from .send import emit, notify, require_block


@contextlib.contextmanager
def told(request: Request, flow: str) -> Iterator[Tell]:
    """Yield the receiver of a run's stages; emit `assay.run.failed` if the run never began.

    Args:
        request: Settings of the run.
        flow: Name of the run in the `runs` table.

    Raises:
        ConfigError: The request's notification block cannot be used.
    """
    reached: list[Stage] = []

    def tell(stage: Stage, result: Moderation) -> None:
        reached.append(stage)
        for event in events_of(stage, result, request, flow):
            emit(event)
        if block is not None and stage == "completed" and (words := message_of(result, request)):
            notify(block, words)

    block = None
    try:
        if request.notify is not None:
            block = require_block(request.notify)
        yield tell
    except Exception:
        if not reached:
            # No row of the lake has this id: the run was refused before it was recorded.
            refused = Moderation(run_id=new_run_id(), lake=request.lake)
            emit(run_failed(refused, flow, status="refused"))
        raise


def events_of(stage: Stage, result: Moderation, request: Request, flow: str) -> list[Event]:
    """Return the events of a stage of a run."""
    if stage == "ingested":
        return [batch_ingested(result, flow)]
    if stage != "completed":
        return [run_failed(result, flow, status=stage)]
    events = [run_completed(result, flow)]
    limit = request.flagged_limit
    if limit is not None and result.is_flagged_above(limit):
        events.append(images_flagged(result, flow, limit=limit))
    if result.drift is not None:
        event = drift_of_run(
            result.drift,
            lake=result.lake,
            run_id=result.run_id,
            batch_id=result.batch_id,
            flow=flow,
        )
        events += [] if event is None else [event]
    return events


def message_of(result: Moderation, request: Request) -> str | None:
    """Return the message about the limits that a run exceeds; None if it exceeds none."""
    exceeded = []
    if result.is_flagged_above(request.flagged_limit):
        exceeded.append(
            f"flagged {result.decisions['flag']:,} of"
            f" {counted(sum(result.decisions.values()), 'image')}"
            f" ({result.flagged_share:.1%}), limit {request.flagged_limit:.1%}"
        )
    if result.is_rejected_above(request.fail_on_rejected):
        exceeded.append(
            f"rejected {result.rejected:,} of {counted(result.items, 'item')}"
            f" ({result.rejected / result.items:.1%}), limit {request.fail_on_rejected:.1%}"
        )
    if result.drift is not None and result.has_drifted:
        exceeded.append(f"{'; '.join(result.drift.lines())}, limit {result.drift.limit:g}")
    if not exceeded:
        return None
    report = f"\nreport {result.report}" if result.report else ""
    return f"assay run {result.run_id}: {'; '.join(exceeded)}\nlake {result.lake}{report}"
