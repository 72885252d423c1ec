"""The flow of a plan: the run of `flows.augmentation` with each chunk as a Prefect task.

Deployments name this module and `augment_flow`, so neither may be renamed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from prefect import flow

from ..synth.generators.load import LoadSettings
from ..synth.generators.registry import named_from_here
from ..synth.plan.plan_file import plan_of_dict, read_plan
from ..tasks.evasion.table import table_text
from ..tasks.synthesis.synthesize import synthesize_chunk
from ..version import __version__
from .augmentation.result import Augmentation
from .augmentation.run import augment
from .events.run_events import told
from .flow_runs.presenting import failing_in_words, name_of_run, presented
from .flow_runs.step_task import called_as_task
from .process.prefect_home import settle_temporary_server
from .request import AugmentSettings, Device, Request
from .served import lake_of_run
from .settings.form import with_form

settle_temporary_server()

SYNTHESIZE = called_as_task("synthesize", synthesize_chunk)


# Prefect draws its form from this signature, so the parameters are plain JSON with defaults.
@flow(name="assay-augment", version=__version__, flow_run_name=name_of_run)
@failing_in_words
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
    loading = LoadSettings(
        memory=memory, t5=t5, fuse=fuse, device=generator_device, precision=generator_precision
    )
    with presented(request, "augment") as show:
        with told(request, "augment") as tell:
            result = augment(
                request, chosen, calls=TASKS, synthesize=SYNTHESIZE, settings=loading, tell=tell
            )
        show(result.moderation, more=_evasion(result))
    return json.dumps(result.to_json())


def _evasion(result: Augmentation) -> str:
    """Return who evades the detector, in Markdown."""
    counts = f"{result.made:,} made, {result.known:,} made earlier, {result.failed:,} not made"
    return (
        f"## Made images: {counts}\n\n```text\n{table_text(result.table)}\n```\n\n"
        f"Pairs: `{result.evasion_report}`"
    )
