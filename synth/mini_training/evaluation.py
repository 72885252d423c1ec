"""Evaluation of a small generator: reconstruction of held-out photos, and prompt adherence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..autoencoder import Autoencoder
from ..generators.protocol import Generator, ImageRequest
from ..photos import read_photo
from .captions import KINDS, TEXTURES, caption, combinations, measure, words

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """The prompt adherence for one kind of word."""

    kind: str
    """Kind of word: brightness, colour or texture."""
    pictures: int
    """Number of images."""
    hits: int
    """Number of images that show the word of their prompt."""
    chance: float
    """Share of hits by chance: one over the number of words of the kind."""

    @property
    def share(self) -> float:
        """Share of the images with a hit, in [0, 1]."""
        return self.hits / max(self.pictures, 1)


def psnr_db(one_u8: NDArray[np.uint8], other_u8: NDArray[np.uint8]) -> float:
    """Compute the peak signal-to-noise ratio of two images of one shape, in dB."""
    error = float(np.mean((one_u8.astype(np.float64) - other_u8) ** 2))
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))


def reduced_photo(path: Path, long_px: int) -> NDArray[np.uint8]:
    """Read a photo and reduce its long edge to at most `long_px`; RGB, shape (H, W, 3).

    Raises:
        InputError: The photo cannot be decoded.
    """
    rgb = read_photo(path)
    rgb.thumbnail((long_px, long_px), Image.Resampling.LANCZOS)
    return np.asarray(rgb)


def reconstruction_db(
    photos: Sequence[Path], autoencoder: Autoencoder, *, long_px: int = 512
) -> list[float]:
    """Compute the PSNR of each photo's reconstruction, in dB.

    Args:
        photos: Paths of the photos.
        autoencoder: Autoencoder to evaluate.
        long_px: Long edge to which photos are reduced first, in pixels.

    Raises:
        InputError: A photo cannot be decoded.
    """
    psnrs_db = []
    for path in photos:
        pixels = reduced_photo(path, long_px)
        psnrs_db.append(psnr_db(pixels, autoencoder.reconstruct(pixels)))
    return psnrs_db


def prompts_followed(
    generator: Generator,
    *,
    luma_at: float,
    roughness_at: float,
    times: int,
    side_px: int = 96,
    steps: int | None = None,
    on_progress: Progress = lambda _line: None,
) -> list[Followed]:
    """Count how often images show the brightness, colour and texture of their prompt.

    The rule is the one that wrote the training captions. Its thresholds are medians of the photos,
    which softer images can miss; so the last row counts the pairs of equal brightness and colour
    in which the detailed image is rougher than the smooth one.

    Args:
        generator: Generator to evaluate.
        luma_at: Smallest luma of a bright image.
        roughness_at: Smallest roughness of a detailed image.
        times: Number of images per caption.
        side_px: Side of the images, in pixels.
        steps: Number of denoising steps; None: the generator's default.
        on_progress: Callback that receives each progress message.

    Raises:
        SynthError: An image cannot be made.
    """
    hits = dict.fromkeys(KINDS, 0)
    n = 0
    roughness: dict[tuple[str, str, str], list[float]] = {}
    captions = combinations()
    for index, wanted_words in enumerate(captions):
        for turn in range(times):
            made = generator.make(
                ImageRequest(
                    prompt=caption(wanted_words),
                    seed=index * 1000 + turn,
                    width_px=side_px,
                    height_px=side_px,
                    steps=steps,
                )
            )
            measures = measure(made)
            roughness.setdefault(wanted_words, []).append(measures.roughness)
            seen = words(measures, luma_at=luma_at, roughness_at=roughness_at)
            for kind, wanted, got in zip(KINDS, wanted_words, seen, strict=True):
                hits[kind] += wanted == got
            n += 1
        on_progress(f"{caption(wanted_words)}: done {index + 1} of {len(captions)}")
    rows = [
        Followed(kind=kind, pictures=n, hits=hits[kind], chance=1 / len(options))
        for kind, options in KINDS.items()
    ]
    pairs = [
        (smooth, detailed)
        for bright, colour, texture in captions
        if texture == TEXTURES[0]
        for smooth, detailed in zip(
            roughness[bright, colour, TEXTURES[0]],
            roughness[bright, colour, TEXTURES[1]],
            strict=True,
        )
    ]
    rougher = sum(smooth < detailed for smooth, detailed in pairs)
    rows.append(Followed(kind="texture, in pairs", pictures=len(pairs), hits=rougher, chance=0.5))
    return rows


def contact_sheet(generator: Generator, path: Path, *, side_px: int = 96, columns: int = 8) -> None:
    """Write a sheet with one image per caption, in the order of `combinations`, row by row.

    Args:
        generator: Generator of the images.
        path: File to write.
        side_px: Side of the images, in pixels.
        columns: Number of images per row.

    Raises:
        SynthError: An image cannot be made.
    """
    captions = combinations()
    rows = -(-len(captions) // columns)
    sheet = Image.new("RGB", (columns * side_px, rows * side_px), "white")
    for index, wanted_words in enumerate(captions):
        made = generator.make(
            ImageRequest(
                prompt=caption(wanted_words), seed=index, width_px=side_px, height_px=side_px
            )
        )
        at = (index % columns * side_px, index // columns * side_px)
        sheet.paste(Image.fromarray(made), at)
    sheet.save(path)
