"""A pipeline of the SD3.5 classes with random weights, small enough for tests."""

from __future__ import annotations

import string
from pathlib import Path

import torch
from diffusers import AutoencoderKL, SD3ControlNetModel
from safetensors.torch import save_file
from transformers import T5Config, T5EncoderModel, T5Tokenizer

from assay.synth.generators.lora import WEIGHTS, Adapter
from assay.synth.mini_training.model import Shape, build_pipeline, make_tokenizer

TEXTS = ("a photo of a dark blue sky", "a bright green field", "a sign that says open")
SHAPE = Shape(layers=2, heads=2, head_width=16, text_widths=(16, 24), vocabulary=560)


def tiny_vae() -> AutoencoderKL:
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8, 8, 16, 16),
        layers_per_block=1,
        latent_channels=16,
        norm_num_groups=4,
        use_quant_conv=False,
        use_post_quant_conv=False,
        scaling_factor=1.0,
        shift_factor=0.0,
    )


def tiny_pipeline(seed: int = 0):
    """Build the pipeline with all weights random, so that prompts and adapters have an effect."""
    torch.manual_seed(seed)
    pipeline = build_pipeline(tiny_vae(), make_tokenizer(TEXTS, SHAPE), SHAPE)
    for parameter in pipeline.transformer.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return pipeline


def tiny_folder(folder: Path, seed: int = 0) -> Path:
    tiny_pipeline(seed).save_pretrained(folder, safe_serialization=True)
    return folder


def tiny_t5(width: int, *, d_kv: int = 16) -> tuple[T5EncoderModel, T5Tokenizer]:
    """Build a T5 encoder with random weights and a tokenizer of letters."""
    letters = [("▁", -2.0), *((letter, -3.0) for letter in string.ascii_lowercase)]
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    tokenizer = T5Tokenizer(vocab=[*special, *letters], extra_ids=0)
    torch.manual_seed(0)
    # Wide enough for the groups in which weights are quantised.
    config = T5Config(
        vocab_size=len(tokenizer), d_model=width, d_kv=d_kv, d_ff=64, num_layers=1, num_heads=2
    )
    return T5EncoderModel(config), tokenizer


def tiny_folder_with_t5(folder: Path) -> Path:
    """Save the pipeline with all three text encoders, as the family is published."""
    pipeline = tiny_pipeline()
    encoder, tokenizer = tiny_t5(pipeline.transformer.config.joint_attention_dim)
    pipeline.register_modules(text_encoder_3=encoder, tokenizer_3=tokenizer)
    pipeline.save_pretrained(folder, safe_serialization=True)
    return folder


def tiny_controlnet(folder: Path) -> Path:
    """Save a ControlNet with an effect on the image, which an untrained one has not."""
    net = SD3ControlNetModel.from_transformer(
        tiny_pipeline().transformer, num_layers=1, num_extra_conditioning_channels=0
    )
    for layer in (*net.controlnet_blocks, net.pos_embed_input.proj):
        torch.nn.init.normal_(layer.weight, std=0.5)
    net.save_pretrained(folder, safe_serialization=True)
    return folder


def adapter_file(path: Path, *, shapes, metadata=None, up: float = 0.3) -> Adapter:
    """Save a LoRA of rank 2 for layers of a transformer, given as inputs and outputs."""
    tensors = {}
    for name, (n_in, n_out) in shapes.items():
        tensors[f"transformer.{name}.lora_A.weight"] = torch.full((2, n_in), 0.3)
        tensors[f"transformer.{name}.lora_B.weight"] = torch.full((n_out, 2), up)
    path.mkdir(parents=True)
    save_file(tensors, path / WEIGHTS, metadata=metadata)
    return Adapter(path=path)
