"""The flow of a plan: the run of `flows.augmentation` with every chunk as a Prefect task.

Deployments name this module and `augment_flow`, so neither may move.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.utilities.annotations import quote

from ..data.store.lake import Lake
from ..synth.generators.load import LoadSettings
from ..synth.job import Job
from ..synth.plan.plan_file import plan_of_dict, read_plan
from ..tasks.synthesize import SynthCounts, synthesize_chunk
from .augmentation.loaded_tools import LoadedTools
from .augmentation.run import augment
from .request import Request, default_lake


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
        device: Device of the detector.
        precision: Precision of the detector.
        backend: Backend of the detector.
        memory: Memory of the generator's device, such as 24GB.
        t5: As `assay synth augment` takes it, and so are the next three.
        fuse: Whether adapters become part of the weights.
        generator_device: Device of what makes the images.
        generator_precision: Precision of what makes the images.

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
