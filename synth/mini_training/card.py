"""The model card of the embedded generator, with the figures of its weights."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...data.text.wording import counted
from .captions import BRIGHTNESS, COLOURS, TEXTURES
from .evaluation import Followed


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Figures measured on the saved files."""

    weights_sha256: str
    """Hash of the weights, by path and content."""
    n_bytes: int
    """Size of all files, in bytes."""
    luma_at: float
    """Smallest mean luma of an image called bright, in [0, 1]."""
    roughness_at: float
    """Smallest mean difference between neighbours of an image called detailed, in [0, 1]."""
    side_px: int
    """Side of the measured images, in pixels."""
    followed: tuple[Followed, ...]
    """Prompt adherence by kind of word."""
    psnr_db: tuple[float, ...]
    """PSNR of reconstructed held-out photos in dB, in name order."""
    psnr_long_px: int
    """Long edge of these photos, in pixels."""
    held_out: tuple[str, ...]
    """Names of the folders of held-out photos."""
    learnt_from: tuple[str, ...]
    """Names of the folders of training photos."""
    n_photos: int
    """Number of training photos."""
    steps: int = 0
    """Number of training steps of transformer and text encoders."""
    seconds: int = 0
    """Training time of transformer and text encoders, in seconds."""

    def to_json(self) -> dict[str, Any]:
        """Return the figures as JSON-ready values."""
        return asdict(self)


def write_card(folder: Path, figures: Figures, *, notes: str = "") -> None:
    """Write the model card as `README.md` into a pipeline folder.

    Args:
        folder: Folder of the pipeline.
        figures: Figures of its weights.
        notes: Markdown about sources and training, for the card.
    """
    low, middle, high = np.percentile(figures.psnr_db, [10, 50, 90])
    rows = "\n".join(
        f"| {row.kind} | {row.hits} of {row.pictures} | {row.share:.0%} | {row.chance:.0%} |"
        for row in figures.followed
    )
    words = "; ".join(", ".join(kind) for kind in (BRIGHTNESS, COLOURS, TEXTURES))
    text = f"""# mini-sd3: the embedded generator

A tiny pipeline of exactly the classes of Stable Diffusion 3.5, so that synthesis can be tried
without a download. **It only serves to try the pipeline. Nobody would take its images for photos,
and a detector's results on them say nothing about its results on a real generator.**

`SD3Transformer2DModel` with QK-norm, `AutoencoderKL` with 16 latent channels, two
`CLIPTextModelWithProjection`, no T5, `FlowMatchEulerDiscreteScheduler`;
{figures.n_bytes / 1e6:.1f} MB, the transformer's matrices stored in 8 bits and the rest in 16.
Plain diffusers loads it and computes in 32 bits:

```python
StableDiffusion3Pipeline.from_pretrained(
    folder, text_encoder_3=None, tokenizer_3=None, image_encoder=None, feature_extractor=None
)
```

## Results

**Reconstruction.** Photos through its autoencoder have a median PSNR of {middle:.1f} dB
({low:.1f} to {high:.1f} dB from the 10th to the 90th percentile), measured on
{counted(len(figures.psnr_db), "photo")} of held-out sources
({", ".join(figures.held_out)}) reduced to a long edge of {figures.psnr_long_px} px:
recognisable, and softer. `reconstructions.jpg` shows some, the photo on the left.

**Prompts** have the form "a dark blue smooth photo", with these words: {words}.
Other words have no effect. The table counts the images of {figures.side_px} px that show the word
of their prompt, at the default 20 steps and guidance 3, by the rule that wrote the training
captions (`captions.py`):

| word | followed | share | by chance |
|---|---|---|---|
{rows}

Thresholds for brightness and texture are the medians of the training photos, which images as soft
as these can miss; in pairs, the "detailed" image is compared with the "smooth" one.
`samples.png` shows one image per caption: blotches of the right colour and roughness, not objects.

## Training

{figures.n_photos} openly licensed photos ({", ".join(figures.learnt_from)}); the vocabulary of the
tokenizer also comes from a list of prompts. The transformer and the text encoders were trained
together for {counted(figures.steps, "step")} in {figures.seconds / 60:.0f} minutes on a CPU.
{notes}
## Training your own

`assay synth train-mini PHOTOS --held-out OTHERS --texts PROMPTS.tsv --out FOLDER`

sha256 of the weights, by path and content: `{figures.weights_sha256}`
"""
    (folder / "README.md").write_text(text, encoding="utf-8")
