"""Generation of a plan's images, with ingest, scoring and the evasion report.

The run is that of `flows.run` with a plan instead of sources: images are ingested, scored and
decided by the same steps, and stored in the same tables.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ...data.errors import ConfigError
from ...data.store.lake import Lake
from ...synth.generators.load import LoadSettings
from ...synth.generators.protocol import Generator
from ...synth.job import Job
from ...synth.plan.plan import Plan
from ...tasks.evasion.page import write_evasion
from ...tasks.evasion.table import evasion_rows, evasion_table
from ...tasks.synthesis.made_images import failures_of
from ...tasks.synthesis.synthesize import SynthCounts, synthesize_chunk
from .. import progress
from ..judging import identity_of, policy_of
from ..request import Request
from ..run import run
from ..run_state import Tell
from ..steps import Steps
from ..taking_turns import turn
from .loaded_tools import LoadedTools
from .plan_source import PlanSource
from .result import Augmentation


def augment(
    request: Request,
    plan: Plan,
    *,
    settings: LoadSettings | None = None,
    generators: Mapping[str, Generator] | None = None,
    calls: Steps | None = None,
    synthesize: Callable[..., SynthCounts] = synthesize_chunk,
    tell: Tell | None = None,
) -> Augmentation:
    """Generate, ingest, score and report the images of a plan; existing images are kept.

    Args:
        request: Lake, detector and policy; it has no sources.
        plan: Plan of the images.
        settings: Options for loading generators.
        generators: Additional generators by the names that the plan uses.
        calls: Ways to call the steps of scoring [default: directly].
        synthesize: Way to make a chunk of jobs [default: directly].
        tell: Receiver of the run's stages, which sends the notifications.

    Raises:
        AssayError: The lake has no parents, or a generator, a detector or the policy cannot be
            used. An image that cannot be generated is a row instead of an error.
        ConfigError: The request has sources.
    """
    if request.sources:
        raise ConfigError("augment takes no sources; ingest them first with assay moderate")
    plan.check()
    needs_no_parents = any(not block.needs_parents for block in plan.blocks)
    # A missing lake is an error if the plan needs parents.
    lake = None if needs_no_parents else Lake(request.lake, create=False)
    tools = LoadedTools(request, settings, generators)
    tools.prepare(plan)
    lake = lake or Lake(request.lake)

    def call(
        lake: Lake, jobs: Sequence[Job], batch_id: str, run_id: str, index: int
    ) -> SynthCounts:
        with turn(lake.uri, batch_id):
            return synthesize(
                lake,
                jobs,
                tools,
                batch_id=batch_id,
                run_id=run_id,
                chunk_index=index,
                n_workers=request.workers,
                on_item=progress.current().advance,
            )

    made = PlanSource(plan=plan, request=request, call=call, contents_of=tools.contents_of)
    moderation = run(request, calls=calls, flow="augment", source=made, lake=lake, tell=tell)
    identity = identity_of(request)
    policy = policy_of(request, identity)
    jobs = [job for of_block in made.jobs.values() for job in of_block]
    rows = evasion_rows(
        lake,
        jobs=jobs,
        key=identity.key,
        policy=policy,
    )
    return Augmentation(
        moderation=moderation,
        made=made.counts.made,
        known=made.counts.known,
        failed=made.counts.failed,
        equal=made.counts.equal,
        evasion_report=write_evasion(
            lake,
            rows,
            run_id=moderation.run_id,
            key=identity.key,
            policy=policy,
        ),
        table=evasion_table(rows),
        failures=tuple(failures_of(lake, jobs, made.batch_id)) if made.counts.failed else (),
    )
