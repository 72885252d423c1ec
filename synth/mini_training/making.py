"""Making of the embedded generator from photos: autoencoder, pipeline, figures and model card."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from ...data.text.wording import counted
from ..autoencoder import load_autoencoder
from ..generators.checkpoints import weights_sha256
from ..generators.load import load_generator
from ..prompts import read_prompts
from ..training.autoencoder import FitSettings, fit_autoencoder
from .card import Figures, write_card
from .evaluation import contact_sheet, prompts_followed, reconstruction_db, reduced_photo
from .model import load_plainly
from .train import MiniSettings, find_photos, train_mini_sd3

AUTOENCODER: Final = FitSettings(
    kind="kl",
    widths=(24, 48, 96, 160),
    latent_channels=16,
    crop_px=64,
    batch=4,
    growth=((0.75, 2), (0.94, 4)),
    mid_attention=True,
    average_steps=1000,
    long_edges_px=(224, 320, 448, 640),
    colours=True,
)
"""Settings of the autoencoder: 16 latent channels at a stride of 8 px, as in the family."""
_SHOWN_PX: Final = 384
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeSettings:
    """Settings of the making of a small generator."""

    photos: tuple[Path, ...]
    """Folders of training photos."""
    held_out: tuple[Path, ...]
    """Folders of photos for the evaluation alone."""
    texts: Path
    """File of prompts for the tokenizer's vocabulary."""
    out: Path
    """Folder for the pipeline."""
    vae: Path | None = None
    """Folder of a trained autoencoder; None: one is trained first."""
    vae_minutes: float = 120.0
    """Training time of the autoencoder, in minutes."""
    minutes: float = 20.0
    """Training time of transformer and text encoders, in minutes."""
    sides_px: tuple[int, ...] = (64, 96)
    """Sides of the training images, in pixels."""
    squares_each: int = 100
    """Number of training images per caption, at most."""
    times: int = 6
    """Number of images per caption in the evaluation."""
    seed: int = 0
    """Seed of both trainings."""
    notes: str = ""
    """Markdown about sources and training, for the model card."""
    max_steps: int | None = None
    """Number of steps of each training at most; None: limited by the time alone."""
    autoencoder: FitSettings = AUTOENCODER
    """Settings of the autoencoder's training."""
    pipeline: MiniSettings | None = None
    """Settings of the second training that differ from the defaults."""


def make_mini_sd3(settings: MakeSettings, *, on_progress: Progress = lambda _line: None) -> Figures:
    """Train a small generator and write it in 8 and 16 bits, with its figures and model card.

    Args:
        settings: Settings of both trainings and of the evaluation.
        on_progress: Callback that receives each progress message.

    Raises:
        InputError: There are no photos or no texts, or a file cannot be read.
        SynthError: The autoencoder cannot be loaded, or no photo is large enough for its crops.
    """
    # Checked before the autoencoder is trained for an hour.
    find_photos(settings.held_out)
    read_prompts(settings.texts)
    out = settings.out
    vae = settings.vae or out.with_name(f"{out.name}-vae")
    if settings.vae is None:
        fit_autoencoder(
            find_photos(settings.photos),
            vae,
            settings=replace(
                settings.autoencoder,
                minutes=settings.vae_minutes,
                max_steps=settings.max_steps,
                seed=settings.seed,
            ),
            on_progress=on_progress,
        )
    settings_here = replace(
        settings.pipeline or MiniSettings(photos=(), vae=vae, texts=settings.texts, out=out),
        photos=settings.photos,
        vae=vae,
        texts=settings.texts,
        out=out,
        minutes=settings.minutes,
        max_steps=settings.max_steps,
        sides_px=settings.sides_px,
        squares_each=settings.squares_each,
        seed=settings.seed,
    )
    result = train_mini_sd3(settings_here, on_progress=on_progress)
    shrink(out)
    figures = _measured(settings, result.squares.luma_at, result.squares.roughness_at, on_progress)
    figures = replace(figures, steps=len(result.losses), seconds=round(result.seconds))
    (out / "eval.json").write_text(json.dumps(figures.to_json(), indent=1) + "\n", encoding="utf-8")
    write_card(out, figures, notes=settings.notes)
    return figures


def shrink(folder: Path) -> None:
    """Store the weights of a pipeline in fewer bits; loading converts them to the wanted precision.

    The transformer's matrices are stored in 8 bits (float8 e4m3, an error of 3 %), the rest in 16.

    Args:
        folder: Folder of the pipeline.
    """
    pipeline: Any = load_plainly(folder)
    pipeline.to(dtype=torch.float16)
    pipeline.save_pretrained(folder, safe_serialization=True)
    path = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    tensors = {
        name: tensor.to(torch.float8_e4m3fn)
        if name.endswith("weight") and tensor.ndim > 1
        else tensor
        for name, tensor in load_file(path).items()
    }
    save_file(tensors, path, metadata={"format": "pt"})
    for encoder in ("text_encoder", "text_encoder_2"):
        # Without it, transformers computes in the 16 bits of the file, and the rest in 32.
        config = folder / encoder / "config.json"
        values = json.loads(config.read_text(encoding="utf-8")) | {"dtype": "float32"}
        config.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    for config in (folder / "model_index.json", *folder.rglob("config.json")):
        # The path on the machine that made it is private.
        values = json.loads(config.read_text(encoding="utf-8"))
        values.pop("_name_or_path", None)
        config.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _measured(
    settings: MakeSettings, luma_at: float, roughness_at: float, on_progress: Progress
) -> Figures:
    """Measure the saved files, and write samples and reconstructions."""
    out = settings.out
    generator = load_generator(str(out))
    side_px = max(settings.sides_px)
    followed = prompts_followed(
        generator,
        luma_at=luma_at,
        roughness_at=roughness_at,
        times=settings.times,
        side_px=side_px,
        on_progress=on_progress,
    )
    autoencoder = load_autoencoder(out / "vae")
    held_out = find_photos(settings.held_out)
    decibels = reconstruction_db(held_out, autoencoder, long_px=_SHOWN_PX)
    n_photos = counted(len(held_out), "photo")
    on_progress(f"{n_photos} reconstructed, median PSNR {np.median(decibels):.1f} dB")
    contact_sheet(generator, out / "samples.png", side_px=side_px)
    shown = []
    for path in held_out[: 4 * max(len(held_out) // 4, 1) : max(len(held_out) // 4, 1)]:
        pixels = reduced_photo(path, _SHOWN_PX)
        shown.append(np.concatenate([pixels, autoencoder.reconstruct(pixels)], axis=1))
    _stacked(shown).save(out / "reconstructions.jpg", quality=85)
    files = [path for path in out.rglob("*") if path.is_file()]
    return Figures(
        weights_sha256=weights_sha256(out),
        n_bytes=sum(path.stat().st_size for path in files),
        luma_at=luma_at,
        roughness_at=roughness_at,
        side_px=side_px,
        followed=tuple(followed),
        psnr_db=tuple(round(value, 2) for value in decibels),
        psnr_long_px=_SHOWN_PX,
        held_out=tuple(folder.name for folder in settings.held_out),
        learnt_from=tuple(folder.name for folder in settings.photos),
        n_photos=len(find_photos(settings.photos)),
    )


def _stacked(pairs: list[np.ndarray]) -> Image.Image:
    """Paste images below each other on white."""
    width = max(pair.shape[1] for pair in pairs)
    sheet = Image.new("RGB", (width, sum(pair.shape[0] for pair in pairs)), "white")
    top = 0
    for pair in pairs:
        sheet.paste(Image.fromarray(pair), (0, top))
        top += pair.shape[0]
    return sheet
