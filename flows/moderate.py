"""The moderation flow: the run of `flows.run` with each step as a Prefect task.

A task handles one chunk of items or the images of one shard. Prefect provides history, retries and
schedules; the lake provides idempotency. Tasks take references and return counts.
"""

from __future__ import annotations

from typing import Any

from prefect import flow
from pydantic.json_schema import SkipJsonSchema

from ..data.errors import ConfigError
from ..version import __version__
from . import steps
from .events.run_events import told
from .flow_runs.presenting import failing_in_words, name_of_run, presented
from .flow_runs.step_task import called_as_task
from .process.prefect_home import settle_temporary_server
from .request import Request
from .results.moderation import Moderation
from .run import run
from .served import confined, lake_of_run
from .settings.form import with_form
from .steps import Steps

settle_temporary_server()

VERBS = ("moderate", "ingest", "score")

TASKS = Steps(
    ingest=called_as_task("ingest", steps.ingest_step),
    ingest_and_score=called_as_task("ingest-and-score", steps.ingest_and_score_step),
    score=called_as_task("score", steps.score_step),
    views=called_as_task("views", steps.views_step),
    deliver=called_as_task("deliver", steps.deliver_step),
    measure=called_as_task("measure", steps.measure_step),
    decide=called_as_task("decide", steps.decide_step),
    drift=called_as_task("drift", steps.drift_step),
    report=called_as_task("report", steps.report_step),
)


@flow(name="assay-moderate", version=__version__, flow_run_name=name_of_run)
@failing_in_words
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
    with presented(request, verb) as show:
        with told(request, verb) as tell:
            result = run(confined(request), calls=TASKS, flow=verb, tell=tell)
        show(result)
    return result
