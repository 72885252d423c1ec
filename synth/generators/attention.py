"""Joint attention in which one text token stands for many equal ones, exactly.

Without a T5 encoder, the pipeline passes 256 zero vectors to the transformer in its place. They
have no positions, so all 256 tokens are equal: one of them, with ln 256 added to its attention
logits, gives all other tokens the same values. Making of small images and training of the small
pipeline are three times as fast.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import nn
from torch.nn import functional


@contextlib.contextmanager
def repeated_last_token(models: Iterable[nn.Module], times: int) -> Iterator[None]:
    """Run the block with a last text token that counts several times in joint attention.

    Args:
        models: Modules whose joint attention is changed, and restored afterwards.
        times: Number of equal tokens that the last one stands for.
    """
    from diffusers.models.attention_processor import Attention, JointAttnProcessor2_0

    layers = [
        module
        for model in models
        for module in model.modules()
        if isinstance(module, Attention) and isinstance(module.processor, JointAttnProcessor2_0)
    ]
    usual = [layer.processor for layer in layers]
    for layer in layers:
        layer.processor = RepeatedLastToken(times)
    try:
        yield
    finally:
        for layer, processor in zip(layers, usual, strict=True):
            layer.processor = processor


class RepeatedLastToken:
    """A processor for the joint attention of diffusers; the last text token counts `times` times.

    Args:
        times: Number of equal tokens that the last one stands for.
    """

    def __init__(self, times: int) -> None:
        self.bias = math.log(times)

    def __call__(
        self,
        attn: Any,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
    ) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        """Return image tokens and text tokens after joint attention.

        Layers without text, as in the dual blocks of SD3.5 Medium, return image tokens only.
        """
        if encoder_hidden_states is None:
            from diffusers.models.attention_processor import JointAttnProcessor2_0

            alone: torch.Tensor = JointAttnProcessor2_0()(attn, hidden_states)
            return alone
        n_image = hidden_states.shape[1]
        query, key, value = (
            torch.cat([self._heads(attn, image(hidden_states)), self._heads(attn, text)], dim=2)
            for image, text in (
                (attn.to_q, attn.add_q_proj(encoder_hidden_states)),
                (attn.to_k, attn.add_k_proj(encoder_hidden_states)),
                (attn.to_v, attn.add_v_proj(encoder_hidden_states)),
            )
        )
        query = self._normed(query, n_image, attn.norm_q, attn.norm_added_q)
        key = self._normed(key, n_image, attn.norm_k, attn.norm_added_k)
        bias = query.new_zeros(key.shape[2])
        bias[-1] = self.bias
        seen = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias[None, :])
        flat = seen.transpose(1, 2).flatten(2)
        image, text = flat[:, :n_image], flat[:, n_image:]
        image = attn.to_out[1](attn.to_out[0](image))
        return image, text if attn.context_pre_only else attn.to_add_out(text)

    @staticmethod
    def _heads(attn: Any, tokens: torch.Tensor) -> torch.Tensor:
        batch, count, width = tokens.shape
        return tokens.view(batch, count, attn.heads, width // attn.heads).transpose(1, 2)

    @staticmethod
    def _normed(
        tokens: torch.Tensor, n_image: int, image_norm: Any, text_norm: Any
    ) -> torch.Tensor:
        image, text = tokens[:, :, :n_image], tokens[:, :, n_image:]
        if image_norm is not None:
            image = image_norm(image)
        if text_norm is not None:
            text = text_norm(text)
        return torch.cat([image, text], dim=2)
