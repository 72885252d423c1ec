"""Similarity of an image and its prompt, by a local CLIP model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError

from ...data.errors import SynthError, shorten
from ..generators.checkpoints import weights_sha256


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipScorer:
    """A CLIP model with its tokenizer and image processor."""

    model: Any
    """CLIP model of transformers, in evaluation mode."""
    tokenizer: Any
    """Tokenizer of the model."""
    processor: Any
    """Image processor of the model."""
    clip_id: str
    """Folder name and the first 12 digits of the weights' hash."""

    def cosine(self, rgb_u8_hwc: NDArray[np.uint8], prompt: str) -> float:
        """Compute the cosine of the embeddings of an image and a prompt.

        The cosine compares images of one prompt and one model; its absolute value has no meaning.
        CLIPScore (Hessel et al. 2021, section 3) is 2.5 times the cosine where that is positive.

        Args:
            rgb_u8_hwc: Image, RGB, shape (H, W, 3).
            prompt: Prompt of the image; tokens beyond the model's limit are ignored.

        Returns:
            Cosine in [-1, 1].
        """
        words = self.tokenizer(prompt, truncation=True, return_tensors="pt")
        pixels = self.processor(Image.fromarray(rgb_u8_hwc), return_tensors="pt")
        with torch.inference_mode():
            seen = self.model(
                input_ids=words.input_ids.to(self.model.device),
                pixel_values=pixels.pixel_values.to(self.model.device),
            )
        # Both embeddings have length 1.
        return float((seen.image_embeds * seen.text_embeds).sum())


def load_clip(folder: str, *, device: str = "cpu") -> ClipScorer:
    """Load a CLIP model from a local transformers folder.

    Args:
        folder: Folder of the model.
        device: Name of the device.

    Raises:
        SynthError: The folder is not a CLIP checkpoint, has no safetensors, or cannot be loaded.
    """
    from transformers import CLIPImageProcessor, CLIPModel, CLIPTokenizer

    path = Path(folder)
    if not (path / "config.json").is_file() or not any(path.glob("*.safetensors")):
        raise SynthError(
            f"{folder} is not a CLIP checkpoint, which has config.json and safetensors; give a "
            "local folder, such as a copy of openai/clip-vit-base-patch32"
        )
    try:
        model = CLIPModel.from_pretrained(path, use_safetensors=True, local_files_only=True)
        tokenizer = CLIPTokenizer.from_pretrained(path, local_files_only=True)
        processor = CLIPImageProcessor.from_pretrained(path, local_files_only=True)
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, SafetensorError) as error:
        raise SynthError(
            f"{folder} cannot be loaded as CLIP: {shorten(f'{type(error).__name__}: {error}')}"
        ) from error
    return ClipScorer(
        model=model.eval().to(device),
        tokenizer=tokenizer,
        processor=processor,
        clip_id=f"{path.name}@{weights_sha256(path)[:12]}",
    )
