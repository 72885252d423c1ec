"""`assay synth`: generate labelled, traceable images, and measure evasion."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from ....data.errors import SynthError
from ....data.text.wording import counted
from ....synth.plan.example import EXAMPLE_PLAN
from ...process.browser import open_page
from ...process.verbosity import is_quiet
from ..options import (
    AsJson,
    DryRun,
    Flag,
    Judging,
    Open,
    Running,
    print_effects,
    print_result,
    request_of,
)

synth = App(name="synth", help="Generate labelled images: generators, LoRA, laundering, attacks.")


@synth.command
def augment(
    plan: Path,
    /,
    *,
    run: Running = None,
    judging: Judging = None,
    generator: str | None = None,
    memory: str | None = None,
    t5: str = "auto",
    fuse: Annotated[bool, Parameter(show_default=False)] = False,
    generator_device: str = "auto",
    generator_precision: str = "auto",
    json_: AsJson = False,
    open_: Open = False,
    dry_run: DryRun = False,
) -> None:
    """Generate the images of a plan, score them, and report evasion.

    A repeated run resumes an interrupted one.

    Args:
        plan: Plan file in TOML; `assay synth example` prints one.
        run: Lake and threads.
        judging: Detector and policy.
        generator: Generator that replaces the plan's in every block that names one.
        memory: Memory of the device, such as 24GB; decides quantisation and offloading.
        t5: Third text encoder: auto, keep, drop, int8 or nf4.
        fuse: Adapters merged into the generator's weights.
        generator_device: Device of the generator: auto, cpu, cuda, mps or xpu.
        generator_precision: Precision of the generator: auto, fp32, bf16 or fp16.
        json_: One JSON object on stdout.
        open_: Evasion report shown in the browser.
        dry_run: Counts and paths of what would be read and written; nothing is changed.

    Raises:
        SynthError: No image could be generated.
    """
    from ....synth.generators.registry import named_from_here
    from ....synth.plan.plan_file import read_plan
    from ...process.malloc import limit_arenas
    from ...progress import for_terminal, watched

    limit_arenas()
    chosen = read_plan(plan)
    if generator is not None:
        chosen = chosen.with_generator(named_from_here(generator))
    if dry_run:
        from ...dry_run.plan import plan_effects

        print_effects(plan_effects(request_of((), run, judging), chosen), as_json=json_)
        return
    # Imported after the plan is checked, since these load PyTorch.
    from ....synth.generators.load import LoadSettings
    from ...augmentation.run import augment as run_augment

    with watched(for_terminal()):
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
    print_result(result.summary, paths=result.paths, values=result.to_json(), as_json=json_)
    if open_:
        open_page(result.evasion_report)
    if result.failed and not result.made and not result.known:
        raise SynthError(
            f"none of {counted(result.failed, 'image')} could be generated:"
            f" {result.failures[0][0]}; "
            "correct that and run the command again"
        )


@synth.command
def example() -> None:
    """Print an example plan file."""
    print(EXAMPLE_PLAN, end="")  # noqa: T201


@synth.command
def schema(
    *,
    out: Path | None = None,
    overwrite: Annotated[bool, Flag] = False,
    dry_run: DryRun = False,
) -> None:
    """Print the JSON Schema of plan files, for validation and completion in editors.

    Args:
        out: File for the schema [default: stdout].
        overwrite: An existing file is replaced.
        dry_run: Path of the file that would be written; nothing is changed.
    """
    from ....synth.plan.models import plan_schema
    from ..schema_file import print_schema

    print_schema(plan_schema(), "plan files", out=out, overwrite=overwrite, dry_run=dry_run)


@synth.command
def methods(*, json_: AsJson = False) -> None:
    """List the synthesis methods: name, package and description.

    Args:
        json_: One JSON object on stdout.
    """
    from ....synth.methods.registry import listed_methods

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
    /,
    *,
    memory: str | None = None,
    t5: str = "auto",
    precision: str = "auto",
    device: str = "auto",
    images: int = 1,
    json_: AsJson = False,
) -> None:
    """Estimate the weights to load and the memory they need, without loading them.

    Args:
        generator: Generator: sd3.5-large, sd3.5-large-turbo, sd3.5-medium, mini-sd3, or a
            diffusers folder.
        memory: Memory of the device, such as 24GB.
        t5: Third text encoder: auto, keep, drop, int8 or nf4.
        precision: Precision of the generator: auto, fp32, bf16 or fp16.
        device: Device of the generator: auto, cpu, cuda, mps or xpu.
        images: Number of images.
        json_: One JSON object on stdout.
    """
    from ....synth.generators.estimate import announce

    estimated = announce(
        generator, memory=memory, t5=t5, precision=precision, device=device, images=images
    )
    print(json.dumps(estimated.to_json()) if json_ else estimated.summary())  # noqa: T201


@synth.command(name="plan", show=False)
@functools.wraps(estimate)
def estimate_by_its_old_name(*args: Any, **options: Any) -> None:
    """Call `estimate` by its former name."""
    from ...progress import say

    say("warning: assay synth plan is deprecated; use assay synth estimate")
    estimate(*args, **options)


@synth.command(name="train-lora")
def train_lora(
    images: Annotated[Path, Parameter(name="IMAGES")],
    /,
    *,
    base: str,
    out: Path,
    prompt: Annotated[
        str,
        Parameter(name=["--prompt", "--caption", "--instance-prompt"]),
    ] = "",
    rank: int = 8,
    alpha: int | None = None,
    steps: int = 500,
    learning_rate: float = 4e-4,
    size: int | None = None,
    batch: int = 1,
    seed: int = 0,
    save_every: int = 100,
    dry_run: DryRun = False,
) -> None:
    """Fine-tune a LoRA adapter of a generator on a folder of images.

    The adapter holds low-rank updates of the attention layers, and loads in plain diffusers.

    Args:
        images: Folder of images; a `.txt` file of the same name holds an image's caption.
        base: Generator to adapt.
        out: Folder for the adapter, checkpoints, loss curve and samples; must differ from IMAGES.
        prompt: Caption of images that have none.
        rank: Rank of the updates.
        alpha: Scale of the updates [default: the rank].
        steps: Number of optimiser steps.
        learning_rate: Learning rate of AdamW.
        size: Side of the training crops in px [default: the generator's own].
        batch: Number of images per step.
        seed: Seed of the training.
        save_every: Steps between checkpoints and samples; an interrupted training resumes from
            the last checkpoint.
        dry_run: Counts and paths of what would be read and written; nothing is changed.
    """
    from ....synth.training.lora import LoraSettings
    from ....synth.training.lora import train_lora as train
    from ...progress import say

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
    if dry_run:
        from ...dry_run.training import lora_effects

        print_effects(lora_effects(settings))
        return
    result = train(settings, on_progress=say)
    print(out if is_quiet() else result.summary())  # noqa: T201


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
    dry_run: DryRun = False,
) -> None:
    """Train the embedded generator on folders of photos, and write its figures and card.

    Args:
        photos: Folders of training photos.
        held_out: Folder of photos for evaluation only. Repeatable.
        texts: File of prompts that trains the tokenizer.
        out: Folder for the pipeline, in the diffusers layout.
        vae: Folder of a fitted autoencoder [default: one is fitted first].
        vae_minutes: Time for fitting the autoencoder, in minutes.
        minutes: Time for training the transformer and the text encoders, in minutes.
        seed: Seed of the training.
        dry_run: Counts and paths of what would be read and written; nothing is changed.
    """
    from ....data.commands import command
    from ....synth.mini_training.making import MakeSettings, make_mini_sd3
    from ...progress import say

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
    if dry_run:
        from ...dry_run.training import folder_effects

        print_effects(folder_effects([*photos, *held_out], out, files=[texts]))
        return
    make_mini_sd3(settings, on_progress=say)
    text = f"card  {out / 'README.md'}\nnext\n  {command('synth', 'estimate', out)}"
    print(out if is_quiet() else text)  # noqa: T201
