"""The step that makes the images of a plan."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any, Final, Unpack

from ...synth.generators.load import LoadSettings
from ...synth.generators.registry import named_from_here
from ...synth.plan.plan import Plan
from ...synth.plan.plan_file import plan_of_dict, read_plan
from ..augmentation.run import augment as run_plan
from ..judging import identity_of, policy_of
from ..settings.faces import ScoreKeywords
from .moderation import fields_of_run, scored_of_run
from .references import Augmented
from .step_settings import handed_on, step_request

_SETTINGS: Final = tuple(ScoreKeywords.__annotations__)


def augment(
    plan: str | PathLike[str] | Mapping[str, Any],
    *,
    memory: str | None = None,
    t5: str = "auto",
    fuse: bool = False,
    generator_device: str = "auto",
    generator_precision: str = "auto",
    generator: str | None = None,
    **settings: Unpack[ScoreKeywords],
) -> Augmented:
    """Make the images of a plan, score and decide them, and report evasion.

    Images that the lake has already are not made again.

    Args:
        plan: Path of a plan file, or its content.
        memory: Memory of the generator's device, such as 24GB.
        t5: Third text encoder: auto, keep, drop, int8 or nf4.
        fuse: Whether adapters are merged into the weights.
        generator_device: Device of the generator: auto, cpu, cuda, mps or xpu.
        generator_precision: Precision of the generator: auto, fp32, bf16 or fp16.
        generator: Generator that replaces the plan's in every block that names one.
        **settings: Lake, detector, policy and threads, as of `assay.moderate`.

    Returns:
        The made images as a decided batch.

    Raises:
        AssayError: The plan, the lake, a generator, the detector or the policy cannot be used.
        TypeError: A setting has another type.
    """
    chosen = _plan_of(plan)
    if generator is not None:
        chosen = chosen.with_generator(named_from_here(generator))
    request = step_request(settings, _SETTINGS)
    loading = LoadSettings(
        memory=memory, t5=t5, fuse=fuse, device=generator_device, precision=generator_precision
    )
    result = run_plan(request, chosen, settings=loading)
    identity = identity_of(request)
    return Augmented(
        **fields_of_run(result.moderation, handed_on(request, _SETTINGS)),
        **identity.key.as_row(),
        **scored_of_run(result.moderation),
        policy_id=policy_of(request, identity).policy_id,
        decisions=dict(result.moderation.decisions),
        made=result.made,
        known=result.known,
        not_made=result.failed,
        evasion_report=result.evasion_report,
    )


def _plan_of(plan: str | PathLike[str] | Mapping[str, Any]) -> Plan:
    if isinstance(plan, Mapping):
        return plan_of_dict(dict(plan), folder=Path())
    return read_plan(Path(plan))
