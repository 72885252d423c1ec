"""An untrained small pipeline of exactly the classes of Stable Diffusion 3.5."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import nn

if TYPE_CHECKING:
    from diffusers import AutoencoderKL, StableDiffusion3Pipeline
    from transformers import CLIPTokenizer

ABSENT: Final = ("text_encoder_3", "tokenizer_3", "image_encoder", "feature_extractor")
"""Parts that the small pipeline does not have; loading must pass None for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Widths and depths of the small pipeline; the defaults have about 8 million parameters."""

    layers: int = 6
    """Number of transformer blocks."""
    heads: int = 4
    """Attention heads per transformer block."""
    head_width: int = 48
    """Channels per attention head of the transformer."""
    text_widths: tuple[int, int] = (64, 96)
    """Channels of the two text encoders."""
    text_layers: int = 2
    """Number of layers of each text encoder."""
    text_heads: int = 4
    """Attention heads per layer of the text encoders."""
    max_tokens: int = 77
    """Length of a tokenised prompt."""
    vocabulary: int = 2048
    """Number of tokens in the vocabulary, at most."""
    max_patches: int = 24
    """Patches of 16 px along one side that the position embeddings cover."""


def build_pipeline(
    vae: AutoencoderKL, tokenizer: CLIPTokenizer, shape: Shape | None = None
) -> StableDiffusion3Pipeline:
    """Build a pipeline with a QK-norm transformer, two CLIP text encoders and no T5.

    Args:
        vae: Trained autoencoder of the pipeline.
        tokenizer: Tokenizer for both text encoders.
        shape: Widths and depths; None: the defaults.
    """
    from diffusers import (
        FlowMatchEulerDiscreteScheduler,
        SD3Transformer2DModel,
        StableDiffusion3Pipeline,
    )

    shape = shape or Shape()
    first, second = (_text_encoder(width, tokenizer, shape) for width in shape.text_widths)
    transformer = SD3Transformer2DModel(
        sample_size=12,
        patch_size=2,
        in_channels=vae.config.latent_channels,
        out_channels=vae.config.latent_channels,
        num_layers=shape.layers,
        attention_head_dim=shape.head_width,
        num_attention_heads=shape.heads,
        joint_attention_dim=sum(shape.text_widths),
        caption_projection_dim=shape.heads * shape.head_width,
        pooled_projection_dim=sum(shape.text_widths),
        pos_embed_max_size=shape.max_patches,
        qk_norm="rms_norm",
    )
    _start_quietly(transformer)
    return StableDiffusion3Pipeline(
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=vae,
        text_encoder=first,
        text_encoder_2=second,
        text_encoder_3=None,
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        tokenizer_3=None,
    )


def load_plainly(folder: Path, **options: Any) -> StableDiffusion3Pipeline:
    """Load a saved pipeline with plain diffusers, with None for the absent parts.

    Args:
        folder: Folder of the pipeline.
        options: Further arguments of `from_pretrained`.
    """
    from diffusers import StableDiffusion3Pipeline

    return StableDiffusion3Pipeline.from_pretrained(folder, **dict.fromkeys(ABSENT), **options)


def make_tokenizer(texts: Iterable[str], shape: Shape | None = None) -> CLIPTokenizer:
    """Train CLIP's byte-pair tokenizer with a small vocabulary.

    It tokenises any text, unknown words byte by byte.

    Args:
        texts: Texts for the vocabulary.
        shape: Size of the vocabulary and length of prompts; None: the defaults.
    """
    from tokenizers import pre_tokenizers
    from transformers import CLIPTokenizer

    shape = shape or Shape()
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    symbols = [*letters, *(f"{letter}</w>" for letter in letters)]
    vocabulary = {symbol: index for index, symbol in enumerate(symbols)}
    vocabulary |= {"<|startoftext|>": 512, "<|endoftext|>": 513}
    plain = CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=shape.max_tokens)
    return plain.train_new_from_iterator(texts, vocab_size=shape.vocabulary, show_progress=False)


def _text_encoder(width: int, tokenizer: CLIPTokenizer, shape: Shape) -> nn.Module:
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=4 * width,
        projection_dim=width,
        num_hidden_layers=shape.text_layers,
        num_attention_heads=shape.text_heads,
        max_position_embeddings=shape.max_tokens,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    encoder: nn.Module = CLIPTextModelWithProjection(config)
    return encoder


def _start_quietly(transformer: Any) -> None:
    """Set the blocks to the identity and the output to zero, the best start for training.

    Source: Peebles & Xie 2023, "Scalable Diffusion Models with Transformers", section 3.2
    (adaLN-Zero).
    """
    for name, parameter in transformer.named_parameters():
        if (".norm1" in name and ".linear." in name) or name.startswith(("norm_out.", "proj_out.")):
            nn.init.zeros_(parameter)
    torch.nn.init.normal_(transformer.time_text_embed.timestep_embedder.linear_1.weight, std=0.02)
