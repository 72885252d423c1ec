"""The moderation flow: the run of `flows.run` with each step as a Prefect task.

A task handles one chunk of items or the images of one shard. Prefect provides history, retries and
schedules; the lake provides idempotency. Tasks take references and return counts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.utilities.annotations import quote
from pydantic.json_schema import SkipJsonSchema

from ..data.errors import ConfigError
from ..version import __version__
from . import steps
from .events.run_events import told
from .flow_runs.retrying import task_options
from .process.prefect_home import settle_temporary_server
from .request import Request
from .result import Moderation
from .run import run
from .served import confined, lake_of_run
from .settings.form import with_form
from .steps import Steps

settle_temporary_server()

VERBS = ("moderate", "ingest", "score")

P = ParamSpec("P")
R = TypeVar("R")


def _task(name: str, step: Callable[P, R]) -> Callable[P, R]:
    """Return a step that is called as a Prefect task.

    A lake is passed to another process by its address, and opened there once per task.
    """
    prefect_task: Any = task(name=name, **task_options())(step)

    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        # quote: Prefect would otherwise search a thousand items for futures.
        quoted = {key: quote(value) for key, value in kwargs.items()}
        result: R = prefect_task(*map(quote, args), **quoted)
        return result

    return call


TASKS = Steps(
    ingest=_task("ingest", steps.ingest_step),
    ingest_and_score=_task("ingest-and-score", steps.ingest_and_score_step),
    score=_task("score", steps.score_step),
    views=_task("views", steps.views_step),
    decide=_task("decide", steps.decide_step),
    report=_task("report", steps.report_step),
)


@flow(name="assay-moderate", version=__version__)
@with_form(Request)
def moderate(
    sources: list[str], *, verb: SkipJsonSchema[str] = "moderate", **settings: Any
) -> Moderation:
    """Ingest, score and decide images, and write a report.

    The parameters are those of `assay moderate`. Without sources, the images of the lake that the
    detector has not scored are scored.

    Args:
        sources: Sources of the run.
        verb: Name of the run in the `runs` table.
        **settings: Settings of the run.

    Raises:
        AssayError: The source, the lake, the detector or the policy cannot be used.
        ConfigError: The verb is unknown.
    """
    if verb not in VERBS:
        raise ConfigError(f"verb is {verb!r}; allowed: {', '.join(VERBS)}")
    settings |= {"lake": lake_of_run(settings["lake"])}
    request = Request(sources=tuple(sources), **settings)
    with told(request, verb) as tell:
        result = run(confined(request), calls=TASKS, flow=verb, tell=tell)
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
        f"# Moderation {result.run_id}\n\n| count | images |\n|---|---:|\n{table}\n\n"
        f"{result.seconds:.1f} s, {result.images_per_second:.1f} images/s scored. "
        f"[Report]({result.report})\n"
    )
