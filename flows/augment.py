"""Make what a plan asks for, ingest it, score it, and say who gets past the detector.

The run is that of `flows.run`, with a plan in the place of sources: its pictures enter the lake by
the same gate, are scored and decided by the same steps, and stand in the same tables.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.utilities.annotations import quote

from ..data.commands import command
from ..data.errors import ConfigError
from ..data.store.lake import Lake
from ..synth.generators.load import LoadSettings
from ..synth.generators.protocol import Generator
from ..synth.plan.plan import Block, ContentsOf, Job, Plan
from ..synth.plan.plan_file import plan_of_dict, read_plan
from ..tasks.evasion.page import write_evasion
from ..tasks.evasion.table import evasion_rows, evasion_table, table_text
from ..tasks.ingest import IngestCounts
from ..tasks.parents import Chosen, choose_parents
from ..tasks.synthesize import (
    JOBS_PER_CHUNK,
    KNOWN_JOBS_PER_CHUNK,
    SynthCounts,
    batch_of,
    failures_of,
    made_of,
    synthesize_chunk,
)
from ..tasks.work.stopping import hand_on, is_stop, kept_of, standing_of
from . import progress, steps
from .request import Request, default_lake
from .result import Moderation
from .run import Steps, run
from .synth_tools import LoadedTools
from .taking_turns import turn

_REASONS_TOLD = 3

Synthesize = Callable[[Lake, Sequence[Job], str, str, int], SynthCounts]


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """What a plan came to: the run, its pictures, and who evades."""

    moderation: Moderation
    made: int
    known: int
    failed: int
    equal: int
    evasion_report: str
    table: pl.DataFrame
    failures: tuple[tuple[str, int], ...] = ()
    """Why pictures could not be made, and how many each time, most first."""

    def to_json(self) -> dict[str, Any]:
        """The object that `--json` prints."""
        return self.moderation.to_json() | {
            "made": self.made,
            "known": self.known,
            "not_made": self.failed,
            "not_made_because": [{"detail": detail, "pictures": n} for detail, n in self.failures],
            "equal": self.equal,
            "evasion_report": self.evasion_report,
            "evasion": list(self.table.iter_rows(named=True)),
        }

    def summary(self) -> str:
        """The table, the counts, the paths and what to do next."""
        run_ = self.moderation
        return "\n".join(
            [
                f"run {run_.run_id}: {self.made:,} pictures made, {self.known:,} known before, "
                f"{self.failed:,} failed, {self._equal()}in {run_.seconds:,.1f} s",
                *self._failed(),
                "",
                table_text(self.table),
                "",
                "Machine-made pictures evade when they score below the review threshold.",
                f"pairs       {self.evasion_report}",
                f"report      {run_.report}",
                f"lake        {run_.lake}",
                "next",
                f"  {command('publish', to='dataset', lake=run_.lake)}",
            ]
        )

    def _failed(self) -> list[str]:
        """Why pictures could not be made, the most frequent reasons first."""
        told = [f"not made    {n:,}: {detail}" for detail, n in self.failures[:_REASONS_TOLD]]
        if rest := self.failures[_REASONS_TOLD:]:
            told.append(
                f"            {sum(n for _, n in rest):,} for other reasons; see the sightings "
                "with the reason not_made"
            )
        return told

    def _equal(self) -> str:
        return f"{self.equal:,} asked for twice and made once, " if self.equal else ""

    def __str__(self) -> str:
        return self.summary()


@dataclass(slots=True)
class _Made:
    """Brings a plan's pictures into the lake, block after block."""

    plan: Plan
    request: Request
    call: Synthesize
    contents_of: ContentsOf
    counts: SynthCounts = field(default_factory=SynthCounts)
    jobs: dict[str, list[Job]] = field(default_factory=dict)
    """Of each block, once its turn came."""

    @property
    def batch_id(self) -> str:
        return batch_of(self.plan.plan_id)

    def params(self) -> dict[str, Any]:
        return {
            "plan_id": self.plan.plan_id,
            "plan": [[b.name, b.method, b.of, dict(b.settings)] for b in self.plan.blocks],
            "seed": self.plan.seed,
        }

    def __call__(self, lake: Lake, run_id: str) -> IngestCounts:
        watcher = progress.current()
        parents = self._parents(lake)
        self.plan.check(len(parents))
        chunk_index = 0
        asked: set[tuple[str, str]] = set()
        for block in self.plan.blocks:
            of = self._of(lake, block, parents)
            told = list(self.plan.jobs(block, of, self.contents_of))
            self.jobs[block.name] = list({_asked(job): job for job in reversed(told)}.values())[
                ::-1
            ]
            # What an earlier block makes too is made once.
            jobs = [job for job in self.jobs[block.name] if _asked(job) not in asked]
            self.counts += SynthCounts(equal=len(told) - len(jobs))
            asked.update(map(_asked, jobs))
            watcher.begin(block.name, len(jobs))
            before = self.counts
            try:
                for chunk in _chunks(jobs, set(made_of(lake, jobs)["key"])):
                    self.counts += self.call(lake, chunk, self.batch_id, run_id, chunk_index)
                    chunk_index += 1
            except BaseException as error:
                kept = [part for part in kept_of(error) if isinstance(part, SynthCounts)]
                self.counts = sum(kept, self.counts)
                hand_on(error, self.counts.items)
                if is_stop(error):
                    n_done = self.counts.made + self.counts.known - before.made - before.known
                    what = f"pictures of {block.name}"
                    error.add_note(standing_of(n_done, len(jobs), what, "made"))
                raise
            watcher.end()
        return self.counts.items

    def _parents(self, lake: Lake) -> Chosen:
        wanted = any(b.method != "text" and b.of == "parents" for b in self.plan.blocks)
        if not wanted:
            return []
        identity = steps.identity_of(self.request)
        band, _ = steps.policy_of(self.request, identity).band(identity.detector_id)
        return choose_parents(
            lake,
            self.plan.parents,
            key=identity.key,
            band=band,
            seed=self.plan.seed,
        )

    def _of(self, lake: Lake, block: Block, parents: Chosen) -> Chosen:
        if block.of == "parents":
            return parents
        made = made_of(lake, self.jobs[block.of]).sort("key")
        return list(made.select("image_id", "label").unique("image_id", maintain_order=True).rows())


def augment(
    request: Request,
    plan: Plan,
    *,
    settings: LoadSettings | None = None,
    generators: Mapping[str, Generator] | None = None,
    calls: Steps | None = None,
    synthesize: Callable[..., SynthCounts] = synthesize_chunk,
) -> Augmentation:
    """Make, ingest, score and report a plan's pictures; what is there already is not made again.

    Args:
        request: The lake, the detector and the policy; its sources are not read.
        plan: What to make.
        settings: How generators are loaded.
        generators: Others by the names that the plan gives them: functions, services, folders.
        calls: How the steps of scoring are called; directly by default.
        synthesize: How a chunk of jobs is made; directly by default.

    Raises:
        AssayError: The lake has no parents, or a generator, a detector or the policy cannot be
            used. A picture that cannot be made is a row, not an error.
    """
    if request.sources:
        raise ConfigError("augment reads no sources; ingest them first with assay moderate")
    plan.check()
    needs_no_parents = any(block.method == "text" for block in plan.blocks)
    if not needs_no_parents:
        # A lake that is not there is an error here: there is nothing to make pictures from.
        Lake(request.lake, create=False)
    tools = LoadedTools(request, settings, generators)
    tools.prepare(plan)
    if needs_no_parents:
        Lake(request.lake)

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

    made = _Made(plan=plan, request=request, call=call, contents_of=tools.contents_of)
    moderation = run(request, calls=calls, flow="augment", bring=made)
    lake = Lake(request.lake, create=False)
    identity = steps.identity_of(request)
    policy = steps.policy_of(request, identity)
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


def _asked(job: Job) -> tuple[str, str]:
    """What is done once: a picture, and what is measured on it."""
    return job.key, job.measured


def _chunks(jobs: Sequence[Job], known: Set[str]) -> Iterator[Sequence[Job]]:
    """Jobs whose pictures are there in large chunks, since they only have to be looked up."""
    for part, n_jobs in (
        ([job for job in jobs if job.key in known], KNOWN_JOBS_PER_CHUNK),
        ([job for job in jobs if job.key not in known], JOBS_PER_CHUNK),
    ):
        for start in range(0, len(part), n_jobs):
            yield part[start : start + n_jobs]


# Prefect draws its form from this signature, so the parameters are plain JSON with defaults.
@flow(name="assay-augment")
def augment_flow(
    plan: str | dict[str, Any],
    lake: str | None = None,
    detector: str = "community-forensics",
    policy: str | None = None,
    device: str = "auto",
    precision: str = "auto",
    backend: str = "auto",
    memory: str | None = None,
    t5: str = "auto",
    fuse: bool = False,  # noqa: FBT001, FBT002
    generator_device: str = "auto",
    generator_precision: str = "auto",
) -> str:
    """Make a plan's pictures and report who evades, with every chunk as a Prefect task.

    Args:
        plan: Path of a plan file, or its content as an object.
        lake: Folder or s3:// prefix.
        detector: As `assay moderate` takes it.
        policy: A policy file.
        device: Of the detector.
        precision: Of the detector.
        backend: Of the detector.
        memory: Of the generator's device, such as 24GB.
        t5: As `assay synth augment` takes it, and so are the next three.
        fuse: Whether adapters become part of the weights.
        generator_device: Of what makes the pictures.
        generator_precision: Of what makes the pictures.

    Returns:
        What `--json` prints, as text.
    """
    from .moderate import TASKS

    told = plan_of_dict(plan, folder=Path()) if isinstance(plan, dict) else read_plan(Path(plan))
    request = Request(
        lake=lake or default_lake(),
        detector=detector,
        policy=policy,
        device=device,
        precision=precision,
        backend=backend,
    )
    made: Any = task(name="synthesize", cache_policy=NO_CACHE, retries=1)(synthesize_chunk)

    def synthesize(
        lake_: Lake, jobs: Sequence[Job], tools: LoadedTools, **rest: Any
    ) -> SynthCounts:
        # quote: Prefect would otherwise walk the jobs and the loaded weights for futures.
        counts: SynthCounts = made(
            lake_, quote(jobs), quote(tools), **{k: quote(v) for k, v in rest.items()}
        )
        return counts

    settings = LoadSettings(
        memory=memory, t5=t5, fuse=fuse, device=generator_device, precision=generator_precision
    )
    result = augment(request, told, calls=TASKS, synthesize=synthesize, settings=settings)
    return json.dumps(result.to_json())
