"""What a generator of the true sizes costs on this device, loaded from files as published ones are.

A folder in the layout of diffusers is written first: transformer, autoencoder and all three text
encoders have the shapes of the published files and random weights. From it, `load_generator` loads
by each plan of memory, and beside the gigabytes that the plan announced stand those that were
taken. Then an adapter is trained on it for a few steps. Pictures are noise: time and memory do not
depend on the weights.
"""

from __future__ import annotations

import argparse
import gc
import json
import shutil
import statistics
import string
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, StableDiffusion3Pipeline
from photos import photos_between, write_photos
from synth_sizes import SHAPES, VAE, transformer_of
from transformers import (
    CLIPTextConfig,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
)

from assay.data.errors import AssayError
from assay.synth.generators.checkpoints import EMBEDDED, find_generator, weights_sha256
from assay.synth.generators.load import LoadSettings, load_generator, plan_for
from assay.synth.generators.protocol import ImageRequest
from assay.synth.training.lora import LoraSettings, train_lora

# As the encoders' own config.json have them.
_CLIP_L: Final = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "projection_dim": 768,
}
_CLIP_G: Final = {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_attention_heads": 20,
    "projection_dim": 1280,
    "hidden_act": "gelu",
}
_T5_XXL: Final = {
    "d_model": 4096,
    "d_kv": 64,
    "d_ff": 10240,
    "num_layers": 24,
    "num_heads": 64,
    "feed_forward_proj": "gated-gelu",
    "vocab_size": 32128,
}
PROMPT: Final = "a photo of a dark blue sky above a bright green field"


def filled(kind: Any, config: Any, device: str) -> Any:
    """Return a model of random bf16 weights, made in place."""
    with torch.device("meta"):
        model = kind(config)
    model = torch.nn.Module.to(model, torch.bfloat16).to_empty(device=device)
    model.tie_weights()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.02)
        for name, buffer in model.named_buffers():
            if name.endswith("position_ids"):
                buffer.copy_(torch.arange(buffer.shape[-1]))
    return model.eval()


def write_generator(folder: Path, name: str, device: str, *, layers: int | None) -> None:
    """Write a model of the family as the hub's cache holds it: links to files named by hash."""
    shapes = {"num_hidden_layers": layers} if layers else {}
    t5_layers = {"num_layers": layers} if layers else {}
    pieces = [("▁", -2.0), *((letter, -3.0) for letter in string.ascii_lowercase)]
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    if layers:
        SHAPES[name] = SHAPES[name] | {"num_layers": layers, "dual_attention_layers": (0,)}
    parts = {
        "transformer": lambda: transformer_of(name, torch.bfloat16, device, check=not layers),
        "vae": lambda: AutoencoderKL(**VAE).to(torch.bfloat16),
        "text_encoder": lambda: filled(
            CLIPTextModelWithProjection, CLIPTextConfig(**_CLIP_L | shapes), device
        ),
        "text_encoder_2": lambda: filled(
            CLIPTextModelWithProjection, CLIPTextConfig(**_CLIP_G | shapes), device
        ),
        "text_encoder_3": lambda: filled(T5EncoderModel, T5Config(**_T5_XXL | t5_layers), device),
    }
    # The embedded tokenizers cut words otherwise, which changes neither shapes nor times.
    others = {
        "scheduler": FlowMatchEulerDiscreteScheduler(shift=3.0),
        "tokenizer": CLIPTokenizer.from_pretrained(EMBEDDED / "tokenizer"),
        "tokenizer_2": CLIPTokenizer.from_pretrained(EMBEDDED / "tokenizer_2"),
        "tokenizer_3": T5Tokenizer(vocab=[*special, *pieces], extra_ids=0),
    }
    StableDiffusion3Pipeline(**others, **dict.fromkeys(parts)).save_pretrained(folder)
    for part, make in parts.items():
        make().save_pretrained(folder / part, safe_serialization=True)
        gc.collect()
    index = json.loads((folder / "model_index.json").read_text())
    index |= {
        "transformer": ["diffusers", "SD3Transformer2DModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "text_encoder": ["transformers", "CLIPTextModelWithProjection"],
        "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
        "text_encoder_3": ["transformers", "T5EncoderModel"],
    }
    (folder / "model_index.json").write_text(json.dumps(index))


def link_by_hash(folder: Path) -> float:
    """Lay the weights as the hub's cache does, and return the seconds that hashing took."""
    from assay.data.file_hashes import file_sha256

    started_s = time.perf_counter()
    named = {path: file_sha256(path) for path in sorted(folder.rglob("*.safetensors"))}
    took_s = time.perf_counter() - started_s
    (folder / "blobs").mkdir()
    for path, digest in named.items():
        path.rename(folder / "blobs" / digest)
        path.symlink_to(folder / "blobs" / digest)
    return took_s


def load_and_make(folder: Path, settings: LoadSettings, arguments: argparse.Namespace) -> None:
    """Print what a plan announced and what loading and making pictures took."""
    files = find_generator(str(folder))
    what = ", ".join(
        f"{key} {value}"
        for key, value in (("memory", settings.memory), ("t5", settings.t5))
        if value not in {None, "auto"}
    )
    try:
        plan = plan_for(files.preset, settings, device=arguments.device, missing=files.missing)
        _reset(arguments.device)
        started_s = time.perf_counter()
        generator = load_generator(str(folder), settings)
        loaded_s = time.perf_counter() - started_s
        request = ImageRequest(
            prompt=PROMPT,
            seed=1,
            steps=arguments.steps,
            width_px=arguments.side,
            height_px=arguments.side,
        )
        seconds = []
        for _ in range(arguments.rounds + 1):
            started_s = time.perf_counter()
            generator.make(request)
            seconds.append(time.perf_counter() - started_s)
    except AssayError as error:
        print(f"  {what or 'whole'}: {type(error).__name__}: {error}", flush=True)
        return
    taken, reserved = _peaks_gb(arguments.device)
    print(
        f"  {what or 'whole'}: {plan.describe()}\n"
        f"    loaded in {loaded_s:.1f} s; a picture {statistics.median(seconds[1:]):.2f} s (first "
        f"{seconds[0]:.2f}); announced {plan.device_gb:.1f} GB, taken {taken:.1f}, held by the "
        f"allocator {reserved:.1f}",
        flush=True,
    )


def train(folder: Path, images: Path, arguments: argparse.Namespace) -> None:
    """Print what the steps of an adapter took."""
    marks: list[float] = []
    for checkpointing in (True, False):
        out = images.parent / f"adapter-{checkpointing}"
        _reset(arguments.device)
        marks.clear()
        try:
            result = train_lora(
                LoraSettings(
                    images=images,
                    base=str(folder),
                    out=out,
                    prompt=PROMPT,
                    steps=arguments.train_steps,
                    save_every=arguments.train_steps // 2,
                    size_px=arguments.side,
                    gradient_checkpointing=checkpointing,
                    device=arguments.device,
                ),
                on_progress=lambda line: marks.append(time.perf_counter()),
            )
        except AssayError as error:
            print(f"  adapter: {type(error).__name__}: {error}", flush=True)
            continue
        taken, reserved = _peaks_gb(arguments.device)
        print(
            f"  adapter, activations {'recomputed' if checkpointing else 'kept'}: "
            f"{result.n_parameters / 1e6:.1f} M parameters, losses "
            f"{result.losses[0]:.3f} to {result.losses[-1]:.3f}; {len(result.losses)} steps, the "
            f"last {arguments.train_steps // 2} with sample and saving in "
            f"{marks[-1] - marks[0]:.1f} s; taken {taken:.1f} GB, held {reserved:.1f}",
            flush=True,
        )


def _reset(device: str) -> None:
    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def _peaks_gb(device: str) -> tuple[float, float]:
    if device != "cuda":
        return 0.0, 0.0
    return torch.cuda.max_memory_allocated() / 1e9, torch.cuda.max_memory_reserved() / 1e9


def main() -> None:
    """Print a few lines a plan."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="sd3.5-medium", choices=list(SHAPES))
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--memory", nargs="*", default=[], help="plans beside the whole: 24GB")
    parser.add_argument("--t5", nargs="*", default=[], help="int8, nf4 or drop, one load each")
    parser.add_argument("--side", type=int, default=1024, help="px")
    parser.add_argument("--steps", type=int, help="default: the publishers'")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--train-steps", type=int, default=0)
    parser.add_argument("--layers", type=int, help="fewer, to try this script")
    parser.add_argument("--scratch", type=Path, help="folder with room for 30 GB")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as scratch:
        folder = Path(scratch, "generator")
        started_s = time.perf_counter()
        write_generator(folder, arguments.model, arguments.device, layers=arguments.layers)
        written_s = time.perf_counter() - started_s
        n_gb = sum(path.stat().st_size for path in folder.rglob("*.safetensors")) / 1e9
        hashed_s = link_by_hash(folder)
        print(
            f"{arguments.model}, {arguments.side} px: {n_gb:.1f} GB written in {written_s:.0f} s, "
            f"hashed in {hashed_s:.1f} s; weights {weights_sha256(folder)[:12]}",
            flush=True,
        )
        ways = [LoadSettings(device=arguments.device)]
        ways += [LoadSettings(device=arguments.device, memory=size) for size in arguments.memory]
        ways += [LoadSettings(device=arguments.device, t5=t5) for t5 in arguments.t5]
        for settings in ways:
            load_and_make(folder, settings, arguments)
        if arguments.train_steps:
            images = write_photos(Path(scratch, "images"), photos_between(None, 4))
            flat = images / "000"
            train(folder, flat, arguments)
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
