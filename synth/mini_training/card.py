"""What is written beside the embedded generator's weights, from the figures of those weights."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .captions import BRIGHTNESS, COLOURS, TEXTURES
from .evaluation import Followed


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What was measured on the saved files."""

    weights_sha256: str
    n_bytes: int
    luma_at: float
    """Mean luma from which a picture is called bright."""
    roughness_at: float
    """Mean step between neighbours from which it is called detailed."""
    side_px: int
    followed: tuple[Followed, ...]
    psnr_db: tuple[float, ...]
    """Of held-out photos, in name order."""
    psnr_long_px: int
    held_out: tuple[str, ...]
    learnt_from: tuple[str, ...]
    n_photos: int
    steps: int = 0
    seconds: int = 0

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def write_card(folder: Path, figures: Figures, *, notes: str = "") -> None:
    """Write `README.md` into a pipeline folder."""
    low, middle, high = np.percentile(figures.psnr_db, [10, 50, 90])
    rows = "\n".join(
        f"| {row.kind} | {row.hits} of {row.pictures} | {row.share:.0%} | {row.chance:.0%} |"
        for row in figures.followed
    )
    words = "; ".join(", ".join(kind) for kind in (BRIGHTNESS, COLOURS, TEXTURES))
    text = f"""# mini-sd3: the embedded generator

A tiny pipeline of exactly the classes of Stable Diffusion 3.5, so that synthesis can be tried
without a download. **It is enough to try the pipeline. Nobody would take its pictures for photos,
and how a detector fares against them says nothing about how it fares against a real generator.**

`SD3Transformer2DModel` with QK-norm, `AutoencoderKL` with 16 latent channels, two
`CLIPTextModelWithProjection`, no T5, `FlowMatchEulerDiscreteScheduler`;
{figures.n_bytes / 1e6:.1f} MB, the transformer's matrices stored in 8 bits and the rest in 16.
Plain diffusers loads it, to be computed in 32:

```python
StableDiffusion3Pipeline.from_pretrained(
    folder, text_encoder_3=None, tokenizer_3=None, image_encoder=None, feature_extractor=None
)
```

## What it does

**Photos through its autoencoder** come back at {middle:.1f} dB in the middle ({low:.1f} to
{high:.1f} for four in five), measured on {len(figures.psnr_db)} photos of held-out sources
({", ".join(figures.held_out)}) reduced to a long edge of {figures.psnr_long_px} px: recognisable,
and softer. `reconstructions.jpg` shows some, the photo on the left.

**Prompts** of the form "a dark blue smooth photo", of these words: {words}.
Any other word it reads and does not understand. How often a picture of {figures.side_px} px has
the word that was asked for, at the default 20 steps and guidance 3, by the rule that wrote the
training captions (`captions.py`):

| word | followed | share | by chance |
|---|---|---|---|
{rows}

Brightness and texture are counted against the medians of the training photos, which pictures as
soft as these can miss; in pairs, the "detailed" picture is compared with the "smooth" one.
`samples.png` shows one picture of every caption: blotches of the right colour and roughness, not
things.

## What it learnt from

{figures.n_photos} openly licensed photos ({", ".join(figures.learnt_from)}); the tokenizer also
learnt its pieces of words from a list of prompts. The transformer and the text encoders were
trained together for {figures.steps:,} steps in {figures.seconds / 60:.0f} minutes on a CPU.
{notes}
## Again, or on your own photos

`assay synth train-mini PHOTOS --held-out OTHERS --texts PROMPTS.tsv --out FOLDER`

sha256 of the weights, by path and content: `{figures.weights_sha256}`
"""
    (folder / "README.md").write_text(text, encoding="utf-8")
