"""Decoding of encoded images to RGB, under one of three named policies.

The detector, synthesis, thumbnails and the perceptual hash all get an image from `to_rgb`. It has
eight bits per channel: 16-bit samples are scaled, and transparent pixels are composited over
white. All other images have the pixels of Pillow's `convert("RGB")`. Nothing is resized. An
animation gives its first frame, and JPEG is decoded in full (no draft mode).

Scores depend on the policy, so a policy never changes: any change gets a new version number.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageCms

from .limits import DAMAGE, DEFAULT_LIMITS, ImageLimits, opened
from .trimming import MAX_ICC_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodePolicy:
    """Choices in the conversion of a decoded image to RGB.

    Attributes:
        name: Unique name with version, stored with every score.
        turns: Whether the EXIF orientation is applied.
        colour: Colour handling: "as-stored", or "srgb" to convert by the ICC profile if possible.
    """

    name: str
    turns: bool
    colour: str

    def describe(self) -> str:
        """Return all choices as one line, for records."""
        turned = "turned as metadata asks" if self.turns else "not turned"
        return (
            f"{self.name}: {turned}, transparency over white, 16 bits scaled to 8, "
            f"colour {self.colour}, first frame, RGB"
        )


# `Image.open(file).convert("RGB")`, as the detector's authors do, except for 16 bits and
# transparency, which version 1 clipped and dropped.
PLAIN: Final = DecodePolicy(name="plain@2", turns=False, colour="as-stored")
# `ImageOps.exif_transpose` first, as the image loaders of transformers do.
UPRIGHT: Final = DecodePolicy(name="upright@2", turns=True, colour="as-stored")
# For display in thumbnails and reports only, never for scores.
DISPLAY: Final = DecodePolicy(name="display@1", turns=True, colour="srgb")

_ORIENTATION: Final = 0x0112
_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode_rgb(
    raw: bytes, policy: DecodePolicy, *, limits: ImageLimits = DEFAULT_LIMITS
) -> Image.Image:
    """Decode the first frame of an image to mode RGB, 8 bits, at its stored size.

    Width and height swap if `policy` rotates the image by 90 degrees.

    Args:
        raw: Encoded image.
        policy: Decoding policy.
        limits: Limits on bytes and pixels, and the accepted formats.

    Raises:
        UnreadableImage: The bytes cannot be decoded within `limits`.
    """
    with opened(raw, limits) as image:
        image.load()
        # Not copied if the conversion changes nothing: a copy would double the memory.
        return to_rgb(image, policy)


def to_rgb(image: Image.Image, policy: DecodePolicy) -> Image.Image:
    """Return a decoded image in mode RGB; the same object if nothing changes.

    Pillow's exceptions for a damaged image, `limits.DAMAGE`, pass through.
    """
    rgb = over_white(in_8_bits(image), in_srgb=policy.colour == "srgb")
    return turned(rgb, orientation_of(image)) if policy.turns else rgb


def over_white(image: Image.Image, *, in_srgb: bool = False) -> Image.Image:
    """Return an 8-bit image in mode RGB, with transparent pixels composited over white.

    Args:
        image: Decoded image, not modified; an opaque RGB image is returned itself.
        in_srgb: Whether to convert by the image's ICC profile, if possible.
    """
    rgb = _to_srgb(image) if in_srgb else _converted(image, "RGB")
    alpha = alpha_of(image)
    if alpha is None:
        return rgb
    if rgb is image:
        rgb = rgb.copy()
    rgb.paste("white", mask=ImageChops.invert(alpha))
    return rgb


def in_8_bits(image: Image.Image) -> Image.Image:
    """Return a decoded image with 8 bits per sample; the same object if it has no more.

    16-bit grey keeps its upper 8 bits, as Pillow does for 16-bit colour. 32-bit integers and
    floats, which occur in none of the default formats, are read as 16-bit grey or as [0, 1] if
    their range fits, and are otherwise scaled by the maximum.
    """
    if image.mode.startswith("I;16"):
        samples = np.asarray(image)
        grey = Image.fromarray((samples >> 8).astype(np.uint8))
        clear = image.info.get("transparency")
        if isinstance(clear, int):
            grey.putalpha(Image.fromarray(np.where(samples == clear, 0, 255).astype(np.uint8)))
    elif image.mode in {"I", "F"}:
        grey = Image.fromarray(_grey_of_numbers(np.asarray(image)))
    else:
        return image
    grey.info = {key: value for key, value in image.info.items() if key != "transparency"}
    return grey


def _grey_of_numbers(samples: NDArray[np.int32] | NDArray[np.float32]) -> NDArray[np.uint8]:
    numbers = np.nan_to_num(samples.astype(np.float32), posinf=0, neginf=0)
    highest = float(numbers.max(initial=0))
    if samples.dtype == np.float32 and highest <= 1:
        numbers *= 255
    elif highest > 65535:
        numbers *= 255 / highest
    else:
        numbers /= 256
    return np.clip(numbers, 0, 255).astype(np.uint8)


def alpha_of(image: Image.Image) -> Image.Image | None:
    """Return the alpha channel of an 8-bit image; None if all pixels are opaque."""
    if not image.has_transparency_data:
        return None
    alpha = _converted(image, "RGBA").getchannel("A")
    return None if alpha.getextrema() == (255, 255) else alpha


def turned(image: Image.Image, orientation: int) -> Image.Image:
    """Return an image transposed by an EXIF orientation in [1, 8]; the same object for 1."""
    method = _TURNS.get(orientation)
    return image if method is None else image.transpose(method)


def _converted(image: Image.Image, mode: str) -> Image.Image:
    return image if image.mode == mode else image.convert(mode)


def orientation_of(image: Image.Image) -> int:
    """Return the EXIF (or XMP) orientation in [1, 8]; 1 if it is missing or damaged."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except DAMAGE:
        return 1
    return value if isinstance(value, int) and value in _TURNS else 1


def _to_srgb(image: Image.Image) -> Image.Image:
    """Return the image in sRGB by its ICC profile; converted by Pillow if there is none usable."""
    icc = image.info.get("icc_profile")
    space = image.mode if image.mode in {"CMYK", "L"} else "RGB"
    if not icc or len(icc) > MAX_ICC_BYTES:
        return image.convert("RGB")
    followed = follow_profile(_converted(image, space), icc)
    # A damaged profile, or one for another colour space: colours as stored.
    return image.convert("RGB") if followed is None else followed


def follow_profile(image: Image.Image, icc: bytes) -> Image.Image | None:
    """Return an image converted to sRGB by an ICC profile; None if the profile is unusable."""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        return ImageCms.profileToProfile(
            image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, *DAMAGE):
        return None
