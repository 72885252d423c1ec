"""A run on its page of the Prefect server: tags, log, progress, artifacts, and how it failed."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ParamSpec, Protocol, TypeVar

import httpx
import prefect
from prefect import runtime
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.context import FlowRunContext
from prefect.exceptions import PrefectException
from prefect.states import Failed

from ...data.errors import AssayError
from ...data.store.places.place import LOCK_NAME
from .. import progress
from ..request import Request
from ..results.moderation import Moderation, TooManyRejected
from ..settings.resolve import default_lake
from .artifacts import write_artifacts
from .names import run_name, run_tags
from .progress_page import ProgressPage
from .run_log import run_log

P = ParamSpec("P")
R = TypeVar("R")


def name_of_run() -> str:
    """Return the name of the current flow run, from its parameters and its scheduled time."""
    given = runtime.flow_run.parameters
    verb = given.get("verb") or str(runtime.flow_run.flow_name).removeprefix("assay-")
    plan = given.get("plan")
    sources = [Path(plan).stem] if isinstance(plan, str) else given.get("sources") or []
    if isinstance(lock := given.get("from_lock"), str):
        sources = [lock.removesuffix(f"/{LOCK_NAME}")]
    at = runtime.flow_run.scheduled_start_time or datetime.now(UTC)
    return run_name(verb, sources, given.get("lake") or default_lake(), at)


@contextlib.contextmanager
def tagged_and_logged(verb: str, lake: str, detector: str | None) -> Iterator[FlowRun | None]:
    """Set tags of the current flow run and its tasks, and send it assay's log lines; yield it.

    Args:
        verb: Name of the run in the `runs` table.
        lake: Address of the lake.
        detector: Name of the detector; None for a run without one.
    """
    flow = FlowRunContext.get()
    if flow is None or flow.flow_run is None:
        yield None
        return
    tags = run_tags(verb, lake, detector)
    _add_tags(flow.flow_run, tags)
    with run_log(), prefect.tags(*tags):
        yield flow.flow_run


class Show(Protocol):
    """Writer of the artifacts of a finished run."""

    def __call__(self, result: Moderation, /, *, more: str = "") -> None:
        """Write them; `more` are further sections of the summary, in Markdown."""


@contextlib.contextmanager
def presented(request: Request, verb: str) -> Iterator[Show]:
    """Show the run of a block on the page of the current flow run; outside of one, do nothing.

    Args:
        request: Settings of the run.
        verb: Name of the run in the `runs` table.
    """
    detector = None if verb == "ingest" else request.detector
    with tagged_and_logged(verb, request.lake, detector) as flow_run:
        if flow_run is None:
            yield _show_nobody
            return
        show = functools.partial(write_artifacts, verb=verb, title=flow_run.name)
        page = progress.Both(progress.current(), ProgressPage(f"assay-{verb}-progress"))
        with progress.watched(page):
            try:
                yield show
            except TooManyRejected as refused:
                show(refused.result)
                raise


def _show_nobody(_result: Moderation, /, *, more: str = "") -> None:
    """Receive the result of a run that no server shows."""


def failing_in_words(flow: Callable[P, R]) -> Callable[P, R]:
    """Return a flow's function that ends the run as Failed with assay's message.

    An error that is raised through a flow is logged with a traceback, which says nothing to those
    whose source is missing. The caller of the flow gets the error itself.
    """

    @functools.wraps(flow)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return flow(*args, **kwargs)
        except AssayError as error:
            if FlowRunContext.get() is None:
                raise
            state: Any = Failed(message=str(error), data=error)
            return state  # type: ignore[no-any-return]

    # Prefect passes by position what a wrapped function takes by name.
    del call.__wrapped__
    call.__dict__["__signature__"] = inspect.signature(flow, eval_str=True)
    return call


def _add_tags(flow_run: FlowRun, tags: list[str]) -> None:
    """Add tags to those of a flow run, which its deployment may have given."""
    flow_run.tags = [*flow_run.tags, *(tag for tag in tags if tag not in flow_run.tags)]
    # A run does not fail because its tags cannot be shown.
    unseen = contextlib.suppress(httpx.HTTPError, PrefectException)
    with unseen, get_client(sync_client=True) as client:
        client.update_flow_run(flow_run.id, tags=flow_run.tags)
