"""Plans in a notebook: their check with an estimate, and their run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from IPython.core.magic_arguments import argument

from ...data.errors import AssayError, SynthError
from ...data.text.wording import counted
from ..process.cells import interrupts_in_one_line
from ..process.malloc import limit_arenas
from ..progress import for_terminal, watched
from ..request import Request
from ..settings.resolve import request_of
from .arguments import plain

if TYPE_CHECKING:
    from ...synth.plan.plan import Plan
    from ..augmentation.result import Augmentation
    from ..dry_run.effects import Effects

PLAN_OPTIONS: Final = (
    argument("--generator", help="Generator that replaces the plan's in every block."),
    argument("--memory", help="Memory of the device, such as 24GB."),
    argument(
        "--t5",
        choices=("auto", "keep", "drop", "int8", "nf4"),
        default="auto",
        help="Third text encoder [default: auto].",
    ),
    argument("--fuse", action="store_true", help="Adapters merged into the generator's weights."),
    argument(
        "--generator-device",
        default="auto",
        help="Device of the generator: auto, cpu, cuda, mps or xpu [default: auto].",
    ),
    argument(
        "--generator-precision",
        choices=("auto", "fp32", "bf16", "fp16"),
        default="auto",
        help="Precision of the generator [default: auto].",
    ),
)
"""Options of `assay synth augment` that are no settings of a run."""

_LOADING: Final = ("memory", "t5", "fuse", "generator_device", "generator_precision")


@dataclass(frozen=True, slots=True)
class PlanCheck:
    """A plan that has been checked: what its run would read and write, and what it would load.

    Attributes:
        effects: Counts of images per block, upper bounds where some may exist already.
        loads: Estimate of each generator in words, by name.
    """

    effects: Effects
    loads: Mapping[str, str]

    def __repr__(self) -> str:
        lines = [self.effects.summary().replace("dry run: ", "the plan is valid; ")]
        for name, text in self.loads.items():
            lines += ["", f"generator {name}", *(f"  {line}" for line in text.splitlines())]
        return "\n".join(lines)


def check_plan(plan: Plan, given: Mapping[str, Any]) -> PlanCheck:
    """Check a plan and estimate it, without loading a generator.

    Args:
        plan: Plan of the images.
        given: Arguments of the magic by name.

    Raises:
        AssayError: The plan, the lake, the detector or the policy cannot be used.
    """
    from ..dry_run.plan import plan_effects

    plan, request, loading = _parts(plan, given)
    effects = plan_effects(request, plan)
    return PlanCheck(effects=effects, loads=_loads(plan, effects, loading))


def run_plan(plan: Plan, given: Mapping[str, Any]) -> Augmentation:
    """Make the images of a plan, with progress in the cell; a repeated run resumes.

    Args:
        plan: Plan of the images.
        given: Arguments of the magic by name.

    Raises:
        AssayError: The plan, the lake, a generator, the detector or the policy cannot be used.
        SynthError: No image could be made.
    """
    limit_arenas()
    plan, request, loading = _parts(plan, given)
    # Imported after the plan is checked, since these load PyTorch.
    from ...synth.generators.load import LoadSettings
    from ..augmentation.run import augment

    settings = LoadSettings(
        memory=loading["memory"],
        t5=loading["t5"],
        fuse=loading["fuse"],
        device=loading["generator_device"],
        precision=loading["generator_precision"],
    )
    with interrupts_in_one_line(), watched(for_terminal()):
        result = augment(request, plan, settings=settings)
    if result.failed and not result.made and not result.known:
        raise SynthError(
            f"none of {counted(result.failed, 'image')} could be generated:"
            f" {result.failures[0][0]}; "
            "correct that and run the cell again"
        )
    return result


def _parts(plan: Plan, given: Mapping[str, Any]) -> tuple[Plan, Request, dict[str, Any]]:
    """Return the plan with its generator replaced, the run's request, and options of loading."""
    values = {name: plain(value) for name, value in given.items()}
    loading = {name: values.pop(name) for name in _LOADING}
    if (generator := values.pop("generator")) is not None:
        from ...synth.generators.registry import named_from_here

        plan = plan.with_generator(named_from_here(generator))
    settings = {name: value for name, value in values.items() if value is not None}
    return plan, request_of(sources=(), **settings), loading


def _loads(plan: Plan, effects: Effects, loading: Mapping[str, Any]) -> dict[str, str]:
    """Return the estimate of each generator that the plan names, for all images of its blocks."""
    from ...synth.generators.estimate import announce

    counts = {effect.what: effect.count for effect in effects.writes}
    images: dict[str, int] = {}
    for block in plan.blocks:
        names = {settings.get("generator") for settings in block.loaded()}
        for name in sorted(str(name) for name in names if name is not None):
            images[name] = images.get(name, 0) + counts[f"images of {block.name}"]
    found: dict[str, str] = {}
    for name, n_images in images.items():
        try:
            found[name] = announce(
                name,
                memory=loading["memory"],
                t5=loading["t5"],
                precision=loading["generator_precision"],
                device=loading["generator_device"],
                images=max(n_images, 1),
            ).summary()
        except AssayError as error:
            # The needs of an installed package's generator are not known; others say what to do.
            found[name] = str(error)
    return found
