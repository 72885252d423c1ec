"""How well a picture shows what its prompt asks for, by a CLIP model that is given."""

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
    tokenizer: Any
    processor: Any
    clip_id: str
    """Folder name and the first digits of the weights' hash."""

    def cosine(self, rgb_u8_hwc: NDArray[np.uint8], prompt: str) -> float:
        """Cosine of the picture's and the prompt's embeddings, in [-1, 1].

        It orders pictures of one prompt and one model; it is no share of anything. CLIPScore
        (Hessel et al. 2021, section 3) is 2.5 times this where it is positive. Words beyond the
        model's own limit are not seen.
        """
        words = self.tokenizer(prompt, truncation=True, return_tensors="pt")
        pixels = self.processor(Image.fromarray(rgb_u8_hwc), return_tensors="pt")
        with torch.inference_mode():
            seen = self.model(
                input_ids=words.input_ids.to(self.model.device),
                pixel_values=pixels.pixel_values.to(self.model.device),
            )
        # Both come normalised to length 1.
        return float((seen.image_embeds * seen.text_embeds).sum())


def load_clip(folder: str, *, device: str = "cpu") -> ClipScorer:
    """A CLIP model from a local transformers folder, on a device.

    Raises:
        SynthError: There is none, it has no safetensors, or it does not load.
    """
    from transformers import CLIPImageProcessor, CLIPModel, CLIPTokenizer

    path = Path(folder)
    if not (path / "config.json").is_file() or not any(path.glob("*.safetensors")):
        raise SynthError(
            f"{folder} is no CLIP checkpoint: it needs config.json and safetensors; name a local "
            "folder, such as a copy of openai/clip-vit-base-patch32"
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
