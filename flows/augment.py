"""The flow of a plan: the run of `flows.augmentation` with each chunk as a Prefect task.

Deployments name this module and `augment_flow`, so neither may be renamed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from prefect import flow, task
from prefect.utilities.annotations import quote

from ..data.store.lake import Lake
from ..synth.generators.load import LoadSettings
from ..synth.generators.registry import named_from_here
from ..synth.job import Job
from ..synth.plan.plan_file import plan_of_dict, read_plan
from ..tasks.synthesize import SynthCounts, synthesize_chunk
from ..version import __version__
from .augmentation.loaded_tools import LoadedTools
from .augmentation.run import augment
from .events.run_events import told
from .flow_runs.retrying import task_options
from .process.prefect_home import settle_temporary_server
from .request import AugmentSettings, Device, Request
from .served import lake_of_run
from .settings.form import with_form

settle_temporary_server()


# Prefect draws its form from this signature, so the parameters are plain JSON with defaults.
@flow(name="assay-augment", version=__version__)
@with_form(AugmentSettings)
def augment_flow(
    plan: str | dict[str, Any],
    memory: str | None = None,
    t5: Literal["auto", "keep", "drop", "int8", "nf4"] = "auto",
    fuse: bool = False,  # noqa: FBT001, FBT002
    generator_device: Device = "auto",
    generator_precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto",
    generator: str | None = None,
    **settings: Any,
) -> str:
    """Generate the images of a plan, score them, and report evasion.

    Args:
        plan: Path of a plan file, or its content as an object.
        memory: Memory of the generator's device, such as 24GB.
        t5: Third text encoder: kept, left out, or quantised.
        fuse: Whether adapters are merged into the weights.
        generator_device: Device of the generator: auto, cpu, cuda, mps or xpu.
        generator_precision: Precision of the generator.
        generator: Generator that replaces the plan's in every block that names one.
        **settings: Settings of the run.

    Returns:
        JSON text as printed by `--json`.

    Raises:
        AssayError: The plan, the lake, a generator, the detector or the policy cannot be used.
    """
    from .moderate import TASKS

    chosen = plan_of_dict(plan, folder=Path()) if isinstance(plan, dict) else read_plan(Path(plan))
    if generator is not None:
        chosen = chosen.with_generator(named_from_here(generator))
    request = Request(**settings | {"lake": lake_of_run(settings["lake"])})
    made: Any = task(name="synthesize", **task_options())(synthesize_chunk)

    def synthesize(
        lake_: Lake, jobs: Sequence[Job], tools: LoadedTools, **rest: Any
    ) -> SynthCounts:
        # quote: Prefect would otherwise search the jobs and the loaded weights for futures.
        counts: SynthCounts = made(
            lake_, quote(jobs), quote(tools), **{k: quote(v) for k, v in rest.items()}
        )
        return counts

    loading = LoadSettings(
        memory=memory, t5=t5, fuse=fuse, device=generator_device, precision=generator_precision
    )
    with told(request, "augment") as tell:
        result = augment(
            request, chosen, calls=TASKS, synthesize=synthesize, settings=loading, tell=tell
        )
    return json.dumps(result.to_json())
