"""The processing of images by platforms, as named conditions.

A condition is a pure function from pixels to an encoded file: the same pixels give the same bytes.
It treats photos and AI-generated images alike, so that its traces do not separate the classes. A
laundered photo is labelled laundered, neither real nor fake. The list is versioned: a condition is
never changed, only added under a new name.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageFilter

from ..data.errors import SynthError
from ..data.text.wording import did_you_mean, shown

VERSION: Final = "laundering@1"
MIN_SIDE_PX: Final = 16

Step = Callable[[Image.Image], Image.Image]


@dataclass(frozen=True, slots=True)
class Condition:
    """A named processing: steps on pixels, then an encoding."""

    name: str
    """Name of the condition."""
    family: str
    """Name of its family."""
    steps: tuple[Step, ...]
    """Steps on pixels, in order."""
    format: str = "JPEG"
    """Format of the file: JPEG, WEBP or PNG."""
    quality: int = 95
    """Quality of the file, 1 to 100; 95 without subsampling where only the steps matter."""
    subsampling: int = 0
    """Chroma subsampling of a JPEG file as Pillow's number: 0 is 4:4:4, 2 is 4:2:0."""

    def apply(self, rgb_u8_hwc: NDArray[np.uint8]) -> bytes:
        """Process an image and encode it.

        Args:
            rgb_u8_hwc: Image, RGB, shape (H, W, 3).

        Raises:
            SynthError: A side is shorter than 16 px.
        """
        height, width = rgb_u8_hwc.shape[:2]
        if min(height, width) < MIN_SIDE_PX:
            raise SynthError(
                f"{self.name} needs sides of at least {MIN_SIDE_PX} px; seen {width}x{height}"
            )
        image = Image.fromarray(np.ascontiguousarray(rgb_u8_hwc))
        for step in self.steps:
            image = step(image)
        return _encode(image, self.format, self.quality, self.subsampling)


def conditions(names: tuple[str, ...] = ()) -> tuple[Condition, ...]:
    """Return the conditions of names or families, in the order of the list.

    Args:
        names: Names of conditions or families; empty: all conditions.

    Raises:
        SynthError: A name is unknown.
    """
    known = {c.name for c in CONDITIONS} | {c.family for c in CONDITIONS}
    if unknown := sorted(set(names) - known):
        raise SynthError(
            f"no condition is named {shown(unknown[0])}; allowed: {', '.join(sorted(known))}"
            f"{did_you_mean(unknown[0], known)}"
        )
    return tuple(c for c in CONDITIONS if not names or c.name in names or c.family in names)


def _encode(image: Image.Image, kind: str, quality: int, subsampling: int = 2) -> bytes:
    buffer = io.BytesIO()
    if kind == "JPEG":
        image.save(buffer, "JPEG", quality=quality, subsampling=subsampling)
    elif kind == "WEBP":
        image.save(buffer, "WEBP", quality=quality, method=4)
    else:
        image.save(buffer, "PNG")
    return buffer.getvalue()


def _through(kind: str, quality: int) -> Step:
    """Return a step that encodes and decodes."""

    def step(image: Image.Image) -> Image.Image:
        with Image.open(io.BytesIO(_encode(image, kind, quality))) as back:
            return back.convert("RGB")

    return step


def _scaled(factor: float, resampling: Image.Resampling = Image.Resampling.BICUBIC) -> Step:
    def step(image: Image.Image) -> Image.Image:
        width, height = (max(round(side * factor), 8) for side in image.size)
        return image.resize((width, height), resampling)

    return step


def _long_edge(px: int) -> Step:
    """Return a step that reduces the long edge; smaller images are unchanged, as on platforms."""

    def step(image: Image.Image) -> Image.Image:
        if max(image.size) <= px:
            return image
        return _scaled(px / max(image.size), Image.Resampling.LANCZOS)(image)

    return step


def _there_and_back(factor: float) -> Step:
    def step(image: Image.Image) -> Image.Image:
        small = _scaled(factor, Image.Resampling.BILINEAR)(image)
        return small.resize(image.size, Image.Resampling.BICUBIC)

    return step


def _cropped(share: float) -> Step:
    def step(image: Image.Image) -> Image.Image:
        width, height = (max(round(side * share), 8) for side in image.size)
        # Off the centre and off the 8 px grid of JPEG blocks, as crops by people are.
        left, top = (image.width - width) * 3 // 5, (image.height - height) * 2 // 5
        return image.crop((left, top, left + width, top + height))

    return step


def _blurred(radius_px: float) -> Step:
    return lambda image: image.filter(ImageFilter.GaussianBlur(radius_px))


def _noisy(sd_levels: float) -> Step:
    """Return a step that adds Gaussian noise seeded by the pixels, so that it is reproducible."""

    def step(image: Image.Image) -> Image.Image:
        pixels = np.asarray(image)
        seed = int.from_bytes(hashlib.sha256(pixels.tobytes()).digest()[:8], "big")
        noise = np.random.default_rng(seed).normal(0.0, sd_levels, pixels.shape)
        return Image.fromarray(np.clip(np.rint(pixels + noise), 0, 255).astype(np.uint8))

    return step


def _coloured(saturation: float, contrast: float, brightness: float) -> Step:
    def step(image: Image.Image) -> Image.Image:
        image = ImageEnhance.Color(image).enhance(saturation)
        image = ImageEnhance.Contrast(image).enhance(contrast)
        return ImageEnhance.Brightness(image).enhance(brightness)

    return step


def _sharpened(image: Image.Image) -> Image.Image:
    return image.filter(ImageFilter.UnsharpMask(radius=1, percent=60, threshold=0))


def _framed(image: Image.Image) -> Image.Image:
    """Place an image on a white page with margins and a bar above, as in a screenshot of a post."""
    margin, bar = max(image.width // 20, 4), max(image.height // 12, 8)
    page = Image.new("RGB", (image.width + 2 * margin, image.height + 2 * margin + bar), "white")
    page.paste((32, 33, 36), (0, 0, page.width, bar))
    page.paste(image, (margin, margin + bar))
    return page


CONDITIONS: Final[tuple[Condition, ...]] = (
    Condition("jpeg-90", "jpeg", (), quality=90, subsampling=2),
    Condition("jpeg-70", "jpeg", (), quality=70, subsampling=2),
    Condition("jpeg-50", "jpeg", (), quality=50, subsampling=2),
    Condition("jpeg-30", "jpeg", (), quality=30, subsampling=2),
    Condition("webp-80", "webp", (), format="WEBP", quality=80),
    Condition("webp-50", "webp", (), format="WEBP", quality=50),
    Condition("half", "resize", (_scaled(0.5, Image.Resampling.LANCZOS),)),
    Condition("double", "resize", (_scaled(2.0),)),
    Condition("half-and-back", "resize", (_there_and_back(0.5),)),
    Condition("crop-80", "crop", (_cropped(0.8),)),
    Condition("crop-50", "crop", (_cropped(0.5),)),
    Condition("blur-1px", "blur", (_blurred(1.0),)),
    Condition("blur-2px", "blur", (_blurred(2.0),)),
    Condition("noise-4", "noise", (_noisy(4.0),)),
    Condition("noise-10", "noise", (_noisy(10.0),)),
    Condition("faded", "colour", (_coloured(0.6, 0.85, 1.08),)),
    Condition("vivid", "colour", (_coloured(1.5, 1.2, 1.0),)),
    Condition("screenshot", "screenshot", (_framed, _scaled(0.75), _sharpened), format="PNG"),
    Condition(
        "thumbnails",
        "thumbnail",
        (_long_edge(512), _through("JPEG", 75), _long_edge(256), _through("JPEG", 70)),
        format="WEBP",
        quality=75,
    ),
    Condition(
        "multi-hop",
        "multi-hop",
        (
            _long_edge(1600),
            _through("JPEG", 82),
            _cropped(0.9),
            _long_edge(1080),
            _sharpened,
            _through("WEBP", 75),
            _coloured(1.05, 1.03, 1.0),
        ),
        quality=71,
        subsampling=2,
    ),
)

DELIVERIES: Final[tuple[Condition, ...]] = (
    *conditions(("jpeg-50",)),
    Condition(
        "half-jpeg-85",
        "delivery",
        (_scaled(0.5, Image.Resampling.LANCZOS),),
        quality=85,
        subsampling=2,
    ),
)
"""The forms in which images reach their viewers, the one that most flags fall under first.

The second is no condition of the list: plans and tables of laundering stay as they are.
"""
