"""The moderation flow: the run of `flows.run` with every step as a Prefect task.

One task is one chunk of items or one shard's images: Prefect gives history, retries and
schedules; the lake gives idempotency. Tasks take references and give counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task, exponential_backoff
from prefect.utilities.annotations import quote
from pydantic.json_schema import SkipJsonSchema

from ..data.errors import CommitConflict, ConfigError
from ..data.sources.find import Item
from ..tasks.ingest_counts import IngestCounts
from ..tasks.score import ScoreCounts
from ..tasks.views import ViewCounts
from . import steps
from .request import Request
from .result import Moderation
from .run import Steps, run
from .served import confined
from .settings.form import with_form
from .settings.resolve import default_lake

VERBS = ("moderate", "ingest", "score")

P = ParamSpec("P")
R = TypeVar("R")


def _may_pass(_task: Task[..., Any], _task_run: TaskRun, state: State[Any]) -> bool:
    """Whether trying again could help: disks, networks and other writers, never bad input."""
    failure = state.result(raise_on_failure=False)
    return isinstance(failure, (OSError, CommitConflict))


def _task(name: str, step: Callable[P, R]) -> Task[P, R]:
    return task(
        name=name,
        # The tables decide what is known already; a cached count could outlive its rows.
        cache_policy=NO_CACHE,
        retries=3,
        retry_delay_seconds=exponential_backoff(backoff_factor=2),
        retry_jitter_factor=0.5,
        retry_condition_fn=_may_pass,
    )(step)


ingest_task = _task("ingest", steps.ingest_step)
ingest_and_score_task = _task("ingest-and-score", steps.ingest_and_score_step)
score_task = _task("score", steps.score_step)
views_task = _task("views", steps.views_step)
decide_task = _task("decide", steps.decide_step)
report_task = _task("report", steps.report_step)


def _ingest(
    request: Request, run_id: str, batch_id: str, chunk_index: int, items: Sequence[Item]
) -> IngestCounts:
    # quote: Prefect would otherwise walk a thousand items looking for futures.
    return ingest_task(request, run_id, batch_id, chunk_index, quote(items))


def _ingest_and_score(
    request: Request, run_id: str, batch_id: str, chunk_index: int, items: Sequence[Item]
) -> tuple[IngestCounts, ScoreCounts]:
    return ingest_and_score_task(request, run_id, batch_id, chunk_index, quote(items))


def _score(request: Request, run_id: str, shard: str, image_ids: Sequence[str]) -> ScoreCounts:
    return score_task(request, run_id, shard, quote(image_ids))


def _views(request: Request, run_id: str, shard: str, image_ids: Sequence[str]) -> ViewCounts:
    return views_task(request, run_id, shard, quote(image_ids))


TASKS = Steps(
    ingest=_ingest,
    ingest_and_score=_ingest_and_score,
    score=_score,
    views=_views,
    decide=decide_task,
    report=report_task,
)


@flow(name="assay-moderate")
@with_form(Request)
def moderate(
    sources: list[str], *, verb: SkipJsonSchema[str] = "moderate", **settings: Any
) -> Moderation:
    """Ingest, score, decide and report sources into a lake.

    The parameters are those of `assay moderate`. Without sources, every image of the lake that
    this detector has not seen is scored.

    Args:
        sources: What is read.
        verb: What the `runs` table calls the run.
        **settings: Settings of the run.

    Raises:
        AssayError: The source, the lake, the detector or the policy cannot be used.
    """
    if verb not in VERBS:
        raise ConfigError(f"verb is {verb!r}; allowed: {', '.join(VERBS)}")
    settings |= {"lake": settings["lake"] or default_lake()}
    request = Request(sources=tuple(sources), **settings)
    result = run(confined(request), calls=TASKS, flow=verb)
    create_markdown_artifact(
        key="assay-moderate",
        markdown=_markdown(result),
        description=f"Moderation run {result.run_id}",
    )
    return result


def _markdown(result: Moderation) -> str:
    rows = [
        ("items", result.items),
        ("stored", result.stored),
        ("duplicates", result.duplicates),
        ("rejected", result.rejected),
        ("scored now", result.scored),
        ("failed", result.failed),
        *((f"decided {name}", n) for name, n in result.decisions.items()),
    ]
    table = "\n".join(f"| {name} | {n:,} |" for name, n in rows)
    return (
        f"# Moderation {result.run_id}\n\n| what | images |\n|---|---:|\n{table}\n\n"
        f"{result.seconds:.1f} s, {result.images_per_second:.1f} images/s scored. "
        f"[Report]({result.report})\n"
    )
