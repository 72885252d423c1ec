"""Teach a generator of the family a look, by low-rank updates of its attention.

Latents and prompt embeddings are computed once and kept in memory, so that a step is the
transformer alone. What is saved is what plain diffusers loads.

Sources: Hu et al. 2022 (LoRA); Esser et al. 2024 (the objective, see `flow_matching`); the choice
of layers follows the dreambooth example of diffusers, with Medium's second attention as well,
which a match by name ending would leave out.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from PIL import Image, ImageOps
from safetensors.torch import save_file

from ..data.errors import ConfigError, InputError, SynthError
from .curves import draw_losses
from .flow_matching import draw_times, noised, velocity_loss
from .generator import Ask
from .loading import LoadSettings, load_generator
from .lora import WEIGHTS
from .presets import MULTIPLE_PX
from .sd35 import Sd35Generator

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
STATE: Final = "training-state.pt"
SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp"})

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraSettings:
    """What to learn from, and how long."""

    images: Path
    base: str
    out: Path
    prompt: str = ""
    """Caption of pictures that have no `.txt` beside them."""
    rank: int = 8
    alpha: int | None = None
    steps: int = 500
    learning_rate: float = 4e-4
    size_px: int | None = None
    batch: int = 1
    seed: int = 0
    save_every: int = 100
    gradient_checkpointing: bool = True
    device: str = "auto"
    precision: str = "auto"

    def __post_init__(self) -> None:
        if min(self.rank, self.steps, self.batch, self.save_every) < 1:
            raise ConfigError(
                f"rank {self.rank}, steps {self.steps}, batch {self.batch}, save_every "
                f"{self.save_every}; allowed: at least 1 each"
            )
        if self.size_px is not None and (self.size_px % MULTIPLE_PX or self.size_px < MULTIPLE_PX):
            raise ConfigError(f"crops of {self.size_px} px; allowed: multiples of {MULTIPLE_PX}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraResult:
    """What a training left behind."""

    out: Path
    base: str
    steps: int
    n_images: int
    n_parameters: int
    losses: tuple[float, ...]

    def summary(self) -> str:
        """A few lines, ending with how to use it."""
        tenth = max(len(self.losses) // 10, 1)
        first, last = (
            sum(part) / max(len(part), 1) for part in (self.losses[:tenth], self.losses[-tenth:])
        )
        return (
            f"{self.out / WEIGHTS}: {self.n_parameters / 1e6:.2f} M parameters on {self.base}, "
            f"{self.n_images} pictures, {self.steps} steps\n"
            f"loss        {first:.4f} in the first tenth, {last:.4f} in the last "
            f"({self.out / 'loss.svg'})\n"
            f'next\n  lora = "{self.out}:1.0" in a [[make]] of a plan'
        )


def train_lora(settings: LoraSettings, *, on_progress: Progress = lambda _line: None) -> LoraResult:
    """The adapter of a folder of pictures, saved as `pytorch_lora_weights.safetensors`.

    Interrupted, it goes on from its last checkpoint when it is started again with the same
    settings.

    Raises:
        InputError: No pictures.
        SynthError: The base cannot be had, or a checkpoint is of another training.
    """
    from peft import LoraConfig

    pairs = find_captioned(settings.images, settings.prompt)
    generator = load_generator(
        settings.base, LoadSettings(device=settings.device, precision=settings.precision)
    )
    pipeline = generator.pipeline
    transformer = pipeline.transformer
    side = settings.size_px or generator.preset.default_px
    with torch.inference_mode():
        latents = _latents(pipeline, [path for path, _ in pairs], side, settings.seed)
        prompts = _embeddings(pipeline, [caption for _, caption in pairs])
    torch.manual_seed(settings.seed)
    targets = lora_targets(transformer)
    transformer.requires_grad_(requires_grad=False)
    transformer.add_adapter(
        LoraConfig(
            r=settings.rank,
            lora_alpha=settings.alpha or settings.rank,
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
    settings.out.mkdir(parents=True, exist_ok=True)
    losses = _resumed(settings, transformer, optimizer, generator.generator_id, on_progress)
    transformer.train()
    for step in range(len(losses), settings.steps):
        # Drawn from the step's own number, so that a resumed training draws what it would have.
        draws = torch.Generator().manual_seed(settings.seed * 1_000_003 + step)
        picks = torch.randint(len(latents), (settings.batch,), generator=draws)
        clean = latents[picks].to(transformer.device)
        noise = torch.randn(clean.shape, generator=draws).to(clean)
        sigma = draw_times(settings.batch, draws, shift=pipeline.scheduler.config.shift)
        embeds, pooled = ([part[i] for i in picks] for part in prompts)
        device_type = transformer.device.type
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
        if not bool(torch.isfinite(loss)):
            raise SynthError(
                f"the loss is not finite at step {step + 1}; lower the learning rate "
                f"({settings.learning_rate:g}) or use fp32"
            )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        losses.append(loss.item())
        done = step + 1
        if done % settings.save_every == 0 or done == settings.steps:
            _save(settings, generator, optimizer, losses)
            _sample(generator, settings, pairs[0][1], side, done)
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
    """The attention projections of every block, Medium's second attention included."""
    found = [
        name
        for name, module in transformer.named_modules()
        if isinstance(module, torch.nn.Linear)
        and name.startswith("transformer_blocks.")
        and any(
            f".{attention}.{name_}" in name for attention in ATTENTIONS for name_ in PROJECTIONS
        )
    ]
    if not found:
        raise SynthError(f"{type(transformer).__name__} has no attention projections to adapt")
    return found


def find_captioned(folder: Path, prompt: str) -> list[tuple[Path, str]]:
    """The pictures of a folder with their captions, in name order.

    Raises:
        InputError: There are none.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; name a folder of pictures")
    out = []
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in SUFFIXES:
            beside = path.with_suffix(".txt")
            told = beside.read_text(encoding="utf-8").strip() if beside.is_file() else ""
            out.append((path, told or prompt))
    if not out:
        raise InputError(f"{folder} holds no pictures ({', '.join(sorted(SUFFIXES))})")
    return out


def _latents(pipeline: Any, paths: Sequence[Path], side: int, seed: int) -> torch.Tensor:
    """Centred squares as scaled latents, float32, shape (N, C, side / 8, side / 8)."""
    vae = pipeline.vae
    draws = torch.Generator().manual_seed(seed)
    out = []
    for path in paths:
        try:
            with Image.open(path) as image:
                square = ImageOps.fit(
                    ImageOps.exif_transpose(image).convert("RGB"),
                    (side, side),
                    Image.Resampling.LANCZOS,
                )
        except (OSError, ValueError, SyntaxError) as error:
            raise InputError(f"{path} cannot be decoded: {error}; take it out") from error
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
    """What the text encoders make of each caption; each distinct one is encoded once."""
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


def _identity(settings: LoraSettings, base: str) -> str:
    told = dataclasses.asdict(settings) | {"base": base}
    # More steps, or other places, go on with the same training.
    for name in ("steps", "out", "save_every", "device"):
        told.pop(name)
    return json.dumps(told, sort_keys=True, default=str)


def _save(
    settings: LoraSettings,
    generator: Sd35Generator,
    optimizer: torch.optim.Optimizer,
    losses: Sequence[float],
) -> None:
    from peft.utils import get_peft_model_state_dict

    transformer = generator.pipeline.transformer
    state = get_peft_model_state_dict(transformer)
    config = transformer.peft_config["default"].to_dict()
    adapter = {f"transformer.{key}": value for key, value in config.items() if _is_plain(value)}
    adapter["transformer.target_modules"] = sorted(config["target_modules"])
    partial = settings.out / f"{WEIGHTS}.partial"
    save_file(
        {f"transformer.{name}": value.float().cpu().contiguous() for name, value in state.items()},
        partial,
        metadata={
            "format": "pt",
            "base_model": generator.generator_id,
            "lora_adapter_metadata": json.dumps(adapter, sort_keys=True),
        },
    )
    partial.replace(settings.out / WEIGHTS)
    kept = settings.out / f"{STATE}.partial"
    torch.save(
        {
            "identity": _identity(settings, generator.generator_id),
            "adapter": state,
            "optimizer": optimizer.state_dict(),
            "losses": list(losses),
        },
        kept,
    )
    kept.replace(settings.out / STATE)
    draw_losses(losses, settings.out / "loss.svg", title=f"LoRA on {generator.generator_id}")


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, (str, int, float, bool))


def _resumed(
    settings: LoraSettings,
    transformer: Any,
    optimizer: torch.optim.Optimizer,
    base: str,
    on_progress: Progress,
) -> list[float]:
    """The losses so far, with weights and optimiser brought to where they were."""
    from peft.utils import set_peft_model_state_dict

    path = settings.out / STATE
    if not path.is_file():
        return []
    # weights_only: tensors and plain values, nothing that runs.
    state = torch.load(path, weights_only=True, map_location="cpu")
    if state["identity"] != _identity(settings, base):
        raise SynthError(
            f"{settings.out} holds a training with other settings; give another folder, or remove "
            f"{STATE} to start over"
        )
    set_peft_model_state_dict(transformer, state["adapter"])
    optimizer.load_state_dict(state["optimizer"])
    losses: list[float] = state["losses"][: settings.steps]
    on_progress(f"goes on after step {len(losses)}")
    return losses


def _sample(
    generator: Sd35Generator, settings: LoraSettings, caption: str, side: int, step: int
) -> None:
    """One picture along the way, always from the same seed."""
    transformer = generator.pipeline.transformer
    transformer.eval()
    try:
        pixels = generator.make(
            Ask(prompt=caption, seed=settings.seed, width_px=side, height_px=side)
        )
        folder = settings.out / "samples"
        folder.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(folder / f"step-{step:06}.png")
    finally:
        transformer.train()
