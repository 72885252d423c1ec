"""What a picture of the true sizes costs: random weights, the real shapes, any device.

Times do not depend on the weights, so none have to be had. Transformer and decoder run; prompts
come in as random embeddings of the encoders' shapes, since encoding takes a few passes in all.
Beside each stands the least that the transformer's matrix products take at the rate that the
device's own products reach in the same run. On a GPU, try `--batch 1 2 4 8` and `--compile`.
"""

from __future__ import annotations

import argparse
import functools
import gc
import resource
import statistics
import time
from typing import Any, Final

import torch
from diffusers import (
    AutoencoderKL,
    FlowMatchEulerDiscreteScheduler,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
)
from torch.utils.flop_counter import FlopCounterMode

from assay.synth.generators.load import DTYPES
from assay.synth.generators.presets import PRESETS, Preset

PROMPT_TOKENS: Final = 77 + 256
# As the transformers' own config.json have them.
_COMMON: Final = {
    "attention_head_dim": 64,
    "in_channels": 16,
    "out_channels": 16,
    "patch_size": 2,
    "sample_size": 128,
    "joint_attention_dim": 4096,
    "pooled_projection_dim": 2048,
    "qk_norm": "rms_norm",
}
_LARGE: Final = _COMMON | {
    "num_layers": 38,
    "num_attention_heads": 38,
    "caption_projection_dim": 2432,
    "pos_embed_max_size": 192,
}
SHAPES: Final[dict[str, dict[str, Any]]] = {
    "sd3.5-large": _LARGE,
    "sd3.5-large-turbo": _LARGE,
    "sd3.5-medium": _COMMON
    | {
        "num_layers": 24,
        "num_attention_heads": 24,
        "caption_projection_dim": 1536,
        "pos_embed_max_size": 384,
        "dual_attention_layers": tuple(range(13)),
    },
}
VAE: Final = {
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
    "latent_channels": 16,
    "use_quant_conv": False,
    "use_post_quant_conv": False,
    "scaling_factor": 1.5305,
    "shift_factor": 0.0609,
    "sample_size": 1024,
}


def transformer_of(
    name: str, dtype: torch.dtype, device: str, *, check: bool = True
) -> SD3Transformer2DModel:
    """Return a preset's transformer with random weights, made in place, without a copy in fp32."""
    with torch.device("meta"):
        model = SD3Transformer2DModel(**SHAPES[name])
    # With the table of positions, which the published files hold too.
    n_billions = sum(one.numel() for one in model.state_dict().values()) / 1e9
    told = PRESETS[name].parameters["transformer"]
    assert not check or abs(n_billions - told) < 0.002, (
        f"{n_billions:.3f} billion parameters, not {told}"
    )
    model = torch.nn.Module.to(model, dtype).to_empty(device=device)
    # Positions are a table that is computed, and would be left empty.
    table = SD3Transformer2DModel(**SHAPES[name] | {"num_layers": 1}).pos_embed.pos_embed
    model.pos_embed.pos_embed.copy_(table)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.02)
    return model.eval().requires_grad_(requires_grad=False)


def pipeline_of(name: str, arguments: argparse.Namespace) -> Any:
    """Return the pipeline without its encoders."""
    dtype, device = DTYPES[arguments.precision], arguments.device
    transformer = transformer_of(name, dtype, device)
    if arguments.int8:
        from torchao.quantization import Int8WeightOnlyConfig, quantize_

        quantize_(transformer, Int8WeightOnlyConfig())
    if arguments.compile:
        transformer.compile(mode="max-autotune-no-cudagraphs" if device == "cuda" else None)
    pipeline = StableDiffusion3Pipeline(
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=PRESETS[name].shift),
        vae=AutoencoderKL(**VAE).to(device, dtype).eval(),
        **dict.fromkeys(("text_encoder", "text_encoder_2", "text_encoder_3")),
        **dict.fromkeys(("tokenizer", "tokenizer_2", "tokenizer_3")),
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def options_of(preset: Preset, arguments: argparse.Namespace, batch: int) -> dict[str, Any]:
    """Return the pipeline's arguments: the preset's own settings, and random embeddings."""
    dtype, device = DTYPES[arguments.precision], arguments.device
    words = torch.randn(batch, PROMPT_TOKENS, 4096, dtype=dtype, device=device)
    pooled = torch.randn(batch, 2048, dtype=dtype, device=device)
    options = {
        "prompt_embeds": words,
        "pooled_prompt_embeds": pooled,
        "negative_prompt_embeds": words,
        "negative_pooled_prompt_embeds": pooled,
        "width": arguments.side,
        "height": arguments.side,
        "num_inference_steps": arguments.steps or preset.steps,
        "guidance_scale": preset.guidance,
        "output_type": "np",
    }
    if preset.skip_layers:
        options |= {
            "skip_guidance_layers": list(preset.skip_layers),
            "skip_layer_guidance_scale": preset.skip_scale,
            "skip_layer_guidance_start": preset.skip_span[0],
            "skip_layer_guidance_stop": preset.skip_span[1],
        }
    return options


def tflop_of_pass(name: str, side_px: int) -> float:
    """Of the transformer's products for one picture, counted on shapes alone."""
    with torch.device("meta"):
        model = SD3Transformer2DModel(**SHAPES[name]).eval()
        latents = torch.empty(1, 16, side_px // 8, side_px // 8)
        words, pooled = torch.empty(1, PROMPT_TOKENS, 4096), torch.empty(1, 2048)
        with FlopCounterMode(display=False) as counter, torch.inference_mode():
            model(latents, words, pooled, torch.empty(1))
    return float(counter.get_total_flops()) / 1e12


def products_tflops(device: str, dtype: torch.dtype) -> float:
    """Measure the best rate of one large product on this device in this precision."""
    n = 8192 if device != "cpu" else 2048
    a, b = (torch.randn(n, n, device=device).to(dtype) for _ in range(2))
    best = 0.0
    for _ in range(8):
        best = max(best, 2 * n**3 / _timed(lambda: a @ b, device) / 1e12)
    return best


def _timed(work: Any, device: str) -> float:
    wait = getattr(getattr(torch, device, None), "synchronize", lambda: None)
    wait()
    started_s = time.perf_counter()
    work()
    wait()
    return time.perf_counter() - started_s


def peak_gb(device: str) -> float:
    """Of the device's memory; on a CPU, of this process."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def measure(name: str, arguments: argparse.Namespace, rate: float) -> None:
    """Print one line per batch for one model."""
    preset = PRESETS[name]
    steps = arguments.steps or preset.steps
    passes = steps * (2 if preset.guidance > 1 else 1)
    least_s = passes * tflop_of_pass(name, arguments.side) / rate
    pipeline = pipeline_of(name, arguments)
    for batch in arguments.batch:
        work = functools.partial(pipeline, **options_of(preset, arguments, batch))
        try:
            work()
            seconds = [_timed(work, arguments.device) / batch for _ in range(arguments.rounds)]
        except torch.OutOfMemoryError:
            print(f"{name:18} batch {batch}: out of memory")
            return
        median = statistics.median(seconds)
        print(
            f"{name:18} batch {batch}, {arguments.side} px, {steps} steps: {median:.2f} s a "
            f"picture ({min(seconds):.2f}-{max(seconds):.2f}), products' share "
            f"{least_s / median:.2f}, peak {peak_gb(arguments.device):.1f} GB",
            flush=True,
        )


def main() -> None:
    """Print one line per model and batch."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=list(SHAPES), choices=list(SHAPES))
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--precision", default="bf16", choices=list(DTYPES))
    parser.add_argument("--int8", action="store_true", help="int8 weights by torchao")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--side", type=int, default=1024, help="px")
    parser.add_argument("--steps", type=int, help="default: the publishers'")
    parser.add_argument("--batch", type=int, nargs="+", default=[1])
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    rate = products_tflops(arguments.device, DTYPES[arguments.precision])
    print(f"{arguments.device}, {arguments.precision}: {rate:.2f} TFLOP/s of matrix products")
    for name in arguments.models:
        measure(name, arguments, rate)
        gc.collect()  # one model of the family is as much as most machines hold


if __name__ == "__main__":
    main()
