"""Fine-tuning of a LoRA adapter for the attention layers of a Stable Diffusion 3.5 generator.

Latents and prompt embeddings are computed once and kept in memory, so that a step runs the
transformer alone. Plain diffusers loads the saved adapter.

Sources: Hu et al. 2022, "LoRA: Low-Rank Adaptation of Large Language Models"; Esser et al. 2024
for the objective, see `flow_matching`. The layers are those of the dreambooth example of
diffusers, and the second attention of the Medium model, which a match by name ending would miss.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from PIL import Image, ImageOps

from ...data.errors import AssayError, ConfigError, SynthError, shorten
from ...data.text.unicode import valid_text
from ...data.text.wording import counted, shown
from ..generators.checkpoints import find_generator
from ..generators.load import LoadSettings, load_generator
from ..generators.lora import WEIGHTS
from ..generators.presets import MULTIPLE_PX
from ..generators.protocol import ImageRequest
from ..generators.sd35 import Sd35Generator
from ..marking import Mark, SourceType, marked
from ..photos import read_photo
from ..reconstruct import encoded_as
from ..threads import fixed_threads
from .curves import draw_losses
from .flow_matching import draw_times, noised, velocity_loss
from .lora_inputs import (
    SAMPLES,
    check_captions,
    find_captioned,
    images_sha256,
    make_folder,
)
from .lora_state import (
    STATE,
    TrainingState,
    read_state,
    replace_file,
    safetensors_bytes,
    write_state,
)

PROJECTIONS: Final = (
    "to_q",
    "to_k",
    "to_v",
    "to_out.0",
    "add_q_proj",
    "add_k_proj",
    "add_v_proj",
    "to_add_out",
)
ATTENTIONS: Final = ("attn", "attn2")
MAX_SEED: Final = 2**32 - 1
MAX_COUNT: Final = 2**63 - 1
"""Largest number of steps and other counts: libraries store them in 64 bits."""

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraSettings:
    """Settings of a LoRA training."""

    images: Path
    """Folder of training images; a `.txt` of the same name holds the caption of an image."""
    base: str
    """Generator to adapt: registered name, `org/name@commit`, or path of a local folder."""
    out: Path
    """Folder for the adapter, its checkpoint and its samples."""
    prompt: str = ""
    """Caption of images without a `.txt` file."""
    rank: int = 8
    """Rank of the updates, at least 1 and at most the width of the narrowest adapted layer."""
    alpha: int | None = None
    """Scale of the updates times the rank, at least 1; None: the rank, which is a scale of 1."""
    steps: int = 500
    """Number of optimiser steps, at least 1."""
    learning_rate: float = 4e-4
    """Learning rate of AdamW, in (0, 1]."""
    size_px: int | None = None
    """Side of the square crops in pixels, a multiple of 16; None: the generator's default."""
    batch: int = 1
    """Number of images per step, at least 1."""
    seed: int = 0
    """Seed of the training, 0 to 2**32 - 1."""
    save_every: int = 100
    """Number of steps between two checkpoints, at least 1."""
    gradient_checkpointing: bool = True
    """Whether activations are recomputed in the backward pass: less memory, slower steps."""
    device: str = "auto"
    """Device name, as in `LoadSettings`."""
    precision: str = "auto"
    """Precision of the base's weights, as in `LoadSettings`; the adapter is always float32."""

    def __post_init__(self) -> None:
        counts = {
            "rank": self.rank,
            "alpha": self.rank if self.alpha is None else self.alpha,
            "steps": self.steps,
            "batch": self.batch,
            "save_every": self.save_every,
        }
        for name, count in counts.items():
            if not _is_whole(count) or not 1 <= count <= MAX_COUNT:
                raise ConfigError(
                    f"{name} = {shown(count)}; allowed: a whole number from 1 to {MAX_COUNT}"
                )
        if valid_text(self.prompt) != self.prompt:
            raise ConfigError(
                f"the caption {shown(self.prompt)} cannot be written as UTF-8; give plain text"
            )
        if self.size_px is not None and (
            not _is_whole(self.size_px) or self.size_px % MULTIPLE_PX or self.size_px < MULTIPLE_PX
        ):
            raise ConfigError(
                f"size_px = {shown(self.size_px)}; allowed: multiples of {MULTIPLE_PX}"
            )
        # `not 0 < ...` also refuses NaN, for which every comparison is false.
        if not isinstance(self.learning_rate, (int, float)) or not 0 < self.learning_rate <= 1:
            raise ConfigError(
                f"learning_rate = {shown(self.learning_rate)}; allowed: above 0, at most 1"
            )
        if not _is_whole(self.seed) or not 0 <= self.seed <= MAX_SEED:
            raise ConfigError(f"seed = {shown(self.seed)}; allowed: 0 to {MAX_SEED}")


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraResult:
    """The result of a LoRA training."""

    out: Path
    """Folder of the adapter."""
    base: str
    """Id of the adapted generator."""
    steps: int
    """Number of steps of all runs together."""
    n_images: int
    """Number of training images."""
    n_parameters: int
    """Number of trained parameters."""
    losses: tuple[float, ...]
    """Loss of each step."""

    def summary(self) -> str:
        """Return the result as a few lines of text, with the line of a plan that uses it."""
        tenth = max(len(self.losses) // 10, 1)
        first, last = (
            sum(part) / max(len(part), 1) for part in (self.losses[:tenth], self.losses[-tenth:])
        )
        return (
            f"{self.out / WEIGHTS}: {self.n_parameters / 1e6:.2f} M parameters on {self.base}, "
            f"{counted(self.n_images, 'image')}, {counted(self.steps, 'step')}\n"
            f"loss        {first:.4f} in the first tenth, {last:.4f} in the last "
            f"({self.out / 'loss.svg'})\n"
            f'next\n  lora = "{self.out}:1.0" in a [[make]] of a plan'
        )


def train_lora(settings: LoraSettings, *, on_progress: Progress = lambda _line: None) -> LoraResult:
    """Train an adapter on a folder of images and save it as `pytorch_lora_weights.safetensors`.

    An interrupted training resumes from its last checkpoint when it is started again with the
    same settings and images, and ends with the same file as an uninterrupted one. Settings,
    images and captions are checked before the first step.

    Args:
        settings: Settings of the training.
        on_progress: Callback that receives each progress message.

    Raises:
        ConfigError: The folder of the adapter cannot be used, the rank is too large, or this
            machine does not have the device.
        InputError: The folder has no images, or an image or a caption cannot be used.
        SynthError: The base cannot be loaded, the checkpoint is damaged or of another training,
            a step failed, or a file cannot be written.
    """
    pairs = find_captioned(settings.images, settings.prompt, out=settings.out)
    files = find_generator(settings.base)
    side = settings.size_px or files.preset.default_px
    files.preset.check_size(side, side)
    make_folder(settings.out, base=files.folder)
    with fixed_threads():
        generator = load_generator(
            settings.base, LoadSettings(device=settings.device, precision=settings.precision)
        )
        check_captions(pairs, generator, side)
        identity = _identity(settings, generator, pairs, side)
        state = read_state(settings.out, identity, settings.steps)
        return _train(settings, generator, pairs, identity, state, on_progress)


def _train(
    settings: LoraSettings,
    generator: Sd35Generator,
    pairs: Sequence[tuple[Path, str]],
    identity: dict[str, Any],
    state: TrainingState | None,
    on_progress: Progress,
) -> LoraResult:
    from peft import LoraConfig

    pipeline = generator.pipeline
    transformer = pipeline.transformer
    side = int(identity["size_px"])
    targets = lora_targets(transformer)
    _check_rank(settings.rank, transformer, targets)
    with torch.inference_mode():
        latents = _latents(pipeline, [path for path, _ in pairs], side, settings.seed)
        prompts = _embeddings(pipeline, [caption for _, caption in pairs])
    torch.manual_seed(settings.seed)
    transformer.requires_grad_(requires_grad=False)
    transformer.add_adapter(
        LoraConfig(
            r=settings.rank,
            lora_alpha=settings.rank if settings.alpha is None else settings.alpha,
            init_lora_weights="gaussian",
            target_modules=targets,
        )
    )
    if settings.gradient_checkpointing:
        transformer.enable_gradient_checkpointing()
    trained = [p for p in transformer.parameters() if p.requires_grad]
    for parameter in trained:
        parameter.data = parameter.data.float()
    optimizer = torch.optim.AdamW(trained, lr=settings.learning_rate, weight_decay=1e-4)
    losses: list[float] = []
    if state is not None:
        _bring_back(state, transformer, optimizer, settings.out / STATE)
        losses = list(state.losses)
        on_progress(f"resumes after step {len(losses)}")

    def save() -> None:
        _save(settings, generator, identity, optimizer, losses)

    if len(losses) == settings.steps:
        save()  # the adapter's file may have been removed since
    transformer.train()
    for step in range(len(losses), settings.steps):
        # Seeded per step, so that a resumed training draws the same as an uninterrupted one.
        draws = torch.Generator().manual_seed(settings.seed * 1_000_003 + step)
        device_type = transformer.device.type
        optimizer.zero_grad(set_to_none=True)
        try:
            picks = torch.randint(len(latents), (settings.batch,), generator=draws)
            clean = latents[picks].to(transformer.device)
            noise = torch.randn(clean.shape, generator=draws).to(clean)
            sigma = draw_times(settings.batch, draws, shift=pipeline.scheduler.config.shift)
            embeds, pooled = ([part[i] for i in picks] for part in prompts)
            with torch.autocast(
                device_type, dtype=transformer.dtype, enabled=transformer.dtype != torch.float32
            ):
                predicted = transformer(
                    hidden_states=noised(clean, noise, sigma),
                    timestep=(sigma * 1000).to(clean),
                    encoder_hidden_states=torch.stack(embeds).to(clean),
                    pooled_projections=torch.stack(pooled).to(clean),
                ).sample
            loss = velocity_loss(predicted, clean, noise)
            loss.backward()  # type: ignore[no-untyped-call]
        except (RuntimeError, MemoryError) as error:
            raise SynthError(
                f"step {step + 1} failed: {shorten(str(error), 120)}; if it ran out of memory, "
                f"use fewer images per step (batch {settings.batch}) or smaller crops ({side} px)"
            ) from error
        if not math.isfinite(loss.item()):
            raise SynthError(
                f"the loss is not finite at step {step + 1}; lower the learning rate "
                f"({settings.learning_rate:g}) or use fp32"
            )
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        losses.append(loss.item())
        done = step + 1
        if done % settings.save_every == 0 or done == settings.steps:
            save()
            _sample(generator, settings, pairs[0][1], side, done, on_progress)
            recent = losses[-settings.save_every :]
            on_progress(f"step {done} of {settings.steps}: loss {sum(recent) / len(recent):.4f}")
    return LoraResult(
        out=settings.out,
        base=generator.generator_id,
        steps=len(losses),
        n_images=len(pairs),
        n_parameters=sum(p.numel() for p in trained),
        losses=tuple(losses),
    )


def lora_targets(transformer: torch.nn.Module) -> list[str]:
    """Return the names of the attention projections in every block of a transformer.

    Raises:
        SynthError: The transformer has none.
    """
    targets = [
        name
        for name, module in transformer.named_modules()
        if isinstance(module, torch.nn.Linear)
        and name.startswith("transformer_blocks.")
        and any(
            f".{attention}.{name_}" in name for attention in ATTENTIONS for name_ in PROJECTIONS
        )
    ]
    if not targets:
        raise SynthError(f"{type(transformer).__name__} has no attention projections to adapt")
    return targets


def _check_rank(rank: int, transformer: torch.nn.Module, targets: Sequence[str]) -> None:
    weights = transformer.state_dict()
    narrowest = min(min(weights[f"{name}.weight"].shape) for name in targets)
    if rank > narrowest:
        raise ConfigError(
            f"rank {rank}; allowed: at most {narrowest}, the width of the base's narrowest layer"
        )


def _latents(pipeline: Any, paths: Sequence[Path], side: int, seed: int) -> torch.Tensor:
    """Encode centre crops into scaled latents, float32, shape (N, C, side / 8, side / 8)."""
    vae = pipeline.vae
    draws = torch.Generator().manual_seed(seed)
    out = []
    for path in paths:
        square = ImageOps.fit(read_photo(path), (side, side), Image.Resampling.LANCZOS)
        pixels = torch.from_numpy(np.array(square)).permute(2, 0, 1)[None].float() / 127.5 - 1
        coded = vae.encode(pixels.to(vae.device, vae.dtype)).latent_dist
        drawn = coded.mean + coded.std * torch.randn(coded.mean.shape, generator=draws).to(
            coded.mean
        )
        out.append((drawn.float() - vae.config.shift_factor) * vae.config.scaling_factor)
    return torch.cat(out).cpu()


def _embeddings(
    pipeline: Any, captions: Sequence[str]
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Encode captions into sequence and pooled embeddings; equal captions are encoded once."""
    known: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
    for caption in captions:
        if caption not in known:
            embeds, _, pooled, _ = pipeline.encode_prompt(
                prompt=caption,
                prompt_2=None,
                prompt_3=None,
                do_classifier_free_guidance=False,
                device=pipeline.transformer.device,
            )
            known[caption] = (embeds[0].float().cpu(), pooled[0].float().cpu())
    rows = [known[caption] for caption in captions]
    return [row[0] for row in rows], [row[1] for row in rows]


def _identity(
    settings: LoraSettings,
    generator: Sd35Generator,
    pairs: Sequence[tuple[Path, str]],
    side: int,
) -> dict[str, Any]:
    """Return what decides the weights; a training resumes with more steps or in another folder."""
    return {
        "base": generator.generator_id,
        "pictures": images_sha256(pairs, settings.images),
        "rank": settings.rank,
        "alpha": settings.rank if settings.alpha is None else settings.alpha,
        "learning_rate": settings.learning_rate,
        "size_px": side,
        "batch": settings.batch,
        "seed": settings.seed,
        "gradient_checkpointing": settings.gradient_checkpointing,
        "precision": generator.plan.precision,
    }


def _save(
    settings: LoraSettings,
    generator: Sd35Generator,
    identity: dict[str, Any],
    optimizer: torch.optim.Optimizer,
    losses: Sequence[float],
) -> None:
    """Replace the files of the adapter, its checkpoint and its loss curve."""
    from peft.utils import get_peft_model_state_dict

    transformer = generator.pipeline.transformer
    state = get_peft_model_state_dict(transformer)
    config = transformer.peft_config["default"].to_dict()
    adapter = {f"transformer.{key}": value for key, value in config.items() if _is_plain(value)}
    adapter["transformer.target_modules"] = sorted(config["target_modules"])
    raw = safetensors_bytes(
        {f"transformer.{name}": value.float().cpu().contiguous() for name, value in state.items()},
        {
            "format": "pt",
            "base_model": generator.generator_id,
            "lora_adapter_metadata": json.dumps(adapter, sort_keys=True),
        },
    )
    replace_file(settings.out / WEIGHTS, raw)
    write_state(
        settings.out,
        TrainingState(
            identity=identity, adapter=state, optimizer=optimizer.state_dict(), losses=losses
        ),
    )
    try:
        draw_losses(losses, settings.out / "loss.svg", title=f"LoRA on {generator.generator_id}")
    except OSError as error:
        raise SynthError(f"{settings.out / 'loss.svg'} cannot be written: {error}") from error


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, (str, int, float, bool))


def _bring_back(
    state: TrainingState, transformer: Any, optimizer: torch.optim.Optimizer, path: Path
) -> None:
    """Restore the adapter's weights and the optimiser's state from a checkpoint."""
    from peft.utils import get_peft_model_state_dict, set_peft_model_state_dict

    now = get_peft_model_state_dict(transformer)
    then, shapes = (
        {name: tuple(value.shape) for name, value in tensors.items()}
        for tensors in (state.adapter, now)
    )
    if then != shapes:
        raise SynthError(
            f"{path} does not have the {counted(len(shapes), 'adapted tensor')} of this base;"
            " remove it to start over"
        )
    set_peft_model_state_dict(transformer, dict(state.adapter))
    try:
        optimizer.load_state_dict(dict(state.optimizer))
    except (ValueError, KeyError, RuntimeError) as error:
        raise SynthError(
            f"{path} does not fit the optimiser: {error}; remove it to start over"
        ) from error


def _sample(
    generator: Sd35Generator,
    settings: LoraSettings,
    caption: str,
    side: int,
    step: int,
    on_progress: Progress,
) -> None:
    """Write a sample image of the adapter so far; a failure is reported and training continues."""
    transformer = generator.pipeline.transformer
    transformer.eval()
    try:
        pixels = generator.make(
            ImageRequest(prompt=caption, seed=settings.seed, width_px=side, height_px=side)
        )
        folder = settings.out / SAMPLES
        folder.mkdir(exist_ok=True)
        mark = Mark(source_type=SourceType.MADE, generator=generator.generator_id)
        raw = marked(encoded_as(Image.fromarray(pixels), {"format": "PNG"}), mark)
        (folder / f"step-{step:06}.png").write_bytes(raw)
    except (AssayError, OSError) as error:
        on_progress(f"no sample of step {step}: {shorten(str(error))}")
    finally:
        transformer.train()
