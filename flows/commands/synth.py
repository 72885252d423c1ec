"""`assay synth ...`: pictures made here, labelled and traceable, and who gets past the detector."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from ...data.errors import SynthError
from ...synth.plan.example import EXAMPLE_PLAN
from .options import AsJson, Judging, Quiet, Running, request_of

synth = App(name="synth", help="Make labelled pictures: generators, LoRA, laundering, attacks.")


@synth.command
def augment(
    plan: Path,
    *,
    run: Running = None,
    judging: Judging = None,
    generator: str | None = None,
    memory: str | None = None,
    t5: str = "auto",
    fuse: bool = False,
    generator_device: str = "auto",
    generator_precision: str = "auto",
    json_: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Make what a plan file asks for, score it, and report who evades. Goes on where it stopped.

    Args:
        plan: A TOML file; `assay synth example` prints one.
        run: Where the rows live, and how many threads work.
        judging: Which detector scores and which policy decides.
        generator: Generator in the place of the plan's, in every block that names one.
        memory: Of the device, such as 24GB: picks what is quantised and what takes turns.
        t5: The third text encoder: auto, keep, drop, int8 or nf4.
        fuse: Make adapters part of the generator's weights.
        generator_device: Of what makes the pictures: auto, cpu, cuda, mps or xpu.
        generator_precision: auto, fp32, bf16 or fp16.
        json_: Print one JSON object on stdout.
        quiet: No progress bars.
    """
    from ...synth.generators.registry import named_from_here
    from ...synth.plan.plan_file import read_plan
    from ..process.malloc import limit_arenas
    from ..progress import for_terminal, watched

    limit_arenas()
    chosen = read_plan(plan)
    if generator is not None:
        chosen = chosen.with_generator(named_from_here(generator))
    # What loads PyTorch comes after the plan's own slips are said.
    from ...synth.generators.load import LoadSettings
    from ..augmentation.run import augment as run_augment

    with watched(for_terminal(quiet=quiet)):
        result = run_augment(
            request_of((), run, judging),
            chosen,
            settings=LoadSettings(
                memory=memory,
                t5=t5,
                fuse=fuse,
                device=generator_device,
                precision=generator_precision,
            ),
        )
    print(json.dumps(result.to_json()) if json_ else result.summary())  # noqa: T201
    if result.failed and not result.made and not result.known:
        raise SynthError(
            f"none of {result.failed:,} pictures could be made: {result.failures[0][0]}; run it "
            "again once that is mended"
        )


@synth.command
def example() -> None:
    """Print a plan file to start from."""
    print(EXAMPLE_PLAN, end="")  # noqa: T201


@synth.command
def schema(
    *,
    out: Path | None = None,
    overwrite: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Print the JSON Schema of plan files, by which editors check and complete them.

    Args:
        out: File to write it to; on stdout without it.
        overwrite: Replace a file that is there.
    """
    from ...synth.plan.models import plan_schema
    from .schema_file import print_schema

    print_schema(plan_schema(), "plan files", out=out, overwrite=overwrite)


@synth.command
def methods(*, json_: AsJson = False) -> None:
    """List what makes pictures: name, package and description of every method.

    Args:
        json_: Print one JSON object on stdout.
    """
    from ...synth.methods.registry import listed_methods

    rows = listed_methods()
    if json_:
        print(json.dumps({"methods": rows}))  # noqa: T201
        return
    widths = [max(len(str(row[column])) for row in rows) for column in ("name", "package")]
    for row in rows:
        print(f"{row['name']:{widths[0]}}  {row['package']:{widths[1]}}  {row['description']}")  # noqa: T201


@synth.command
def estimate(
    generator: str,
    *,
    memory: str | None = None,
    t5: str = "auto",
    precision: str = "auto",
    device: str = "auto",
    images: int = 1,
    json_: AsJson = False,
) -> None:
    """Say what would be loaded, in how many GB, for how many pictures, before it starts.

    Args:
        generator: sd3.5-large, sd3.5-large-turbo, sd3.5-medium, mini-sd3, or a diffusers folder.
        memory: Memory of the device, such as 24GB.
        t5: auto, keep, drop, int8 or nf4.
        precision: auto, fp32, bf16 or fp16.
        device: auto, cpu, cuda, mps or xpu.
        images: Number of pictures.
        json_: Print one JSON object on stdout.
    """
    from ...synth.generators.estimate import announce

    estimated = announce(
        generator, memory=memory, t5=t5, precision=precision, device=device, images=images
    )
    print(json.dumps(estimated.to_json()) if json_ else estimated.summary())  # noqa: T201


@synth.command(name="plan", show=False)
@functools.wraps(estimate)
def estimate_by_its_old_name(*args: Any, **options: Any) -> None:
    """Say what would be loaded; the name that `estimate` had."""
    from ..progress import say

    say("assay synth plan is called assay synth estimate now; the old name will go")
    estimate(*args, **options)


@synth.command(name="train-lora")
def train_lora(
    images: Annotated[Path, Parameter(name="IMAGES")],
    *,
    base: str,
    out: Path,
    prompt: str = "",
    rank: int = 8,
    alpha: int | None = None,
    steps: int = 500,
    learning_rate: float = 4e-4,
    size: int | None = None,
    batch: int = 1,
    seed: int = 0,
    save_every: int = 100,
) -> None:
    """Teach a generator a look: low-rank updates of its attention, loadable by plain diffusers.

    Args:
        images: Folder of pictures; a `.txt` of the same name holds a picture's caption.
        base: Generator to adapt.
        out: Folder for the adapter, its checkpoints, loss curve and samples; not IMAGES itself.
        prompt: Caption of pictures without one.
        rank: Of the updates.
        alpha: Scale of the updates [default: the rank].
        steps: Optimiser steps.
        learning_rate: Of AdamW.
        size: Side of the training crops in px [default: the generator's own].
        batch: Pictures a step.
        seed: Of everything that is drawn.
        save_every: Steps between checkpoints and samples; an interrupted training goes on there.
    """
    from ...synth.training.lora import LoraSettings
    from ...synth.training.lora import train_lora as train
    from ..progress import say

    settings = LoraSettings(
        images=images,
        base=base,
        out=out,
        prompt=prompt,
        rank=rank,
        alpha=alpha,
        steps=steps,
        learning_rate=learning_rate,
        size_px=size,
        batch=batch,
        seed=seed,
        save_every=save_every,
    )
    result = train(settings, on_progress=say)
    print(result.summary())  # noqa: T201


@synth.command(name="train-mini")
def train_mini_generator(
    photos: Annotated[tuple[Path, ...], Parameter(name="PHOTOS", negative="")],
    /,
    *,
    held_out: tuple[Path, ...],
    texts: Path,
    out: Path,
    vae: Path | None = None,
    vae_minutes: float = 120.0,
    minutes: float = 20.0,
    seed: int = 0,
) -> None:
    """Train the embedded generator on your own folders of photos, with its figures and card.

    Args:
        photos: Folders to learn from.
        held_out: Folder of photos for figures only. Repeatable.
        texts: A file of prompts, whose words the tokenizer learns.
        out: Folder for the pipeline, as plain diffusers loads it.
        vae: A fitted autoencoder [default: one is fitted first].
        vae_minutes: Of fitting the autoencoder.
        minutes: Of training the transformer and the text encoders.
        seed: Of everything that is drawn.
    """
    from ...data.commands import command
    from ...synth.mini_training.making import MakeSettings, make_mini_sd3
    from ..progress import say

    settings = MakeSettings(
        photos=photos,
        held_out=held_out,
        texts=texts,
        out=out,
        vae=vae,
        vae_minutes=vae_minutes,
        minutes=minutes,
        seed=seed,
    )
    make_mini_sd3(settings, on_progress=say)
    print(f"Read {out / 'README.md'}, then: {command('synth', 'estimate', out)}")  # noqa: T201
