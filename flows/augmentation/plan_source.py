"""A plan as the source of a run: its images enter the lake block by block."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

from ...data.store.lake import Lake
from ...synth.job import Job
from ...synth.plan.plan import Block, ContentsOf, Plan
from ...tasks.ingest_counts import IngestCounts
from ...tasks.synthesis.made_images import batch_of, made_of
from ...tasks.synthesis.parents import Chosen, choose_parents
from ...tasks.synthesis.synthesize import JOBS_PER_CHUNK, KNOWN_JOBS_PER_CHUNK, SynthCounts
from ...tasks.work.stopping import hand_on, is_stop, kept_of, standing_of
from .. import progress
from ..judging import identity_of, policy_of
from ..request import Request

_log = logging.getLogger(__name__)

Synthesize = Callable[[Lake, Sequence[Job], str, str, int], SynthCounts]


@dataclass(slots=True)
class PlanSource:
    """A plan as the source of a run."""

    plan: Plan
    request: Request
    call: Synthesize
    contents_of: ContentsOf
    counts: SynthCounts = field(default_factory=SynthCounts)
    jobs: dict[str, list[Job]] = field(default_factory=dict)
    """Jobs of each block that has started."""

    @property
    def batch_id(self) -> str:
        """Batch of all images of the plan."""
        return batch_of(self.plan.plan_id)

    def params(self) -> dict[str, Any]:
        """Return the plan's parameters for the run's record."""
        return {
            "plan_id": self.plan.plan_id,
            "plan": [[b.name, b.method, b.of, dict(b.settings)] for b in self.plan.blocks],
            "seed": self.plan.seed,
        }

    def __call__(self, lake: Lake, run_id: str) -> IngestCounts:
        """Generate and ingest the images of all blocks, except those that exist already."""
        watcher = progress.current()
        parents = self._parents(lake)
        self.plan.check(len(parents))
        chunk_index = 0
        done: set[tuple[str, str]] = set()
        for block in self.plan.blocks:
            of = self._of(lake, block, parents)
            jobs = list(self.plan.jobs(block, of, self.contents_of))
            n_jobs = len(jobs)
            once = {_work_of(job): job for job in reversed(jobs)}
            self.jobs[block.name] = list(once.values())[::-1]
            # An image that an earlier block makes too is made once.
            jobs = [job for job in self.jobs[block.name] if _work_of(job) not in done]
            self.counts += SynthCounts(equal=n_jobs - len(jobs))
            done.update(map(_work_of, jobs))
            _log.info("block %s: %d jobs, %d parents", block.name, len(jobs), len(of))
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
                    what = f"images of {block.name}"
                    error.add_note(standing_of(n_done, len(jobs), what, "made"))
                raise
            watcher.end()
        return self.counts.items

    def _parents(self, lake: Lake) -> Chosen:
        wanted = any(b.needs_parents and b.of == "parents" for b in self.plan.blocks)
        if not wanted:
            return []
        identity = identity_of(self.request)
        band, _ = policy_of(self.request, identity).band(identity.detector_id)
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


def _work_of(job: Job) -> tuple[str, str]:
    """Return the key of work that is done once: an image, and the measurements on it."""
    return job.key, job.measured


def _chunks(jobs: Sequence[Job], known: Set[str]) -> Iterator[Sequence[Job]]:
    """Yield chunks of jobs; those of existing images are larger, since they need a lookup only."""
    for part, n_jobs in (
        ([job for job in jobs if job.key in known], KNOWN_JOBS_PER_CHUNK),
        ([job for job in jobs if job.key not in known], JOBS_PER_CHUNK),
    ):
        for start in range(0, len(part), n_jobs):
            yield part[start : start + n_jobs]
