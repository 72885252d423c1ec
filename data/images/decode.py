"""From encoded bytes to RGB: the one way, in three named policies.

`to_rgb` is what the detector, synthesis, thumbnails and the perceptual hash see of an image.
It gives eight bits per channel, of what a person sees: 16-bit samples are scaled, and what is
transparent is laid over white. In every other image the pixels are those of Pillow's
`convert("RGB")`. Nothing is resized here. An animation gives its first frame, and JPEG is
decoded in full (no draft mode).

A score depends on the choices of a policy, so a policy never changes: a different choice gets a
new number.
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
    """What is done to an image on its way to RGB.

    Attributes:
        name: Stored with every score; unique to this set of choices.
        turns: Whether the orientation that the metadata asks for is applied.
        colour: "as-stored", or "srgb" where an ICC profile can be followed.
    """

    name: str
    turns: bool
    colour: str

    def describe(self) -> str:
        """All choices in one line, for records."""
        turned = "turned as metadata asks" if self.turns else "not turned"
        return (
            f"{self.name}: {turned}, transparency over white, 16 bits scaled to 8, "
            f"colour {self.colour}, first frame, RGB"
        )


# `Image.open(file).convert("RGB")`, what the detector's authors do, wherever that conversion
# shows the image. The first of its kind clipped 16 bits and dropped transparency.
PLAIN: Final = DecodePolicy(name="plain@2", turns=False, colour="as-stored")
# `ImageOps.exif_transpose` first, what the loaders of transformers do.
UPRIGHT: Final = DecodePolicy(name="upright@2", turns=True, colour="as-stored")
# For people's eyes: thumbnails and reports. Never for a score.
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
    """Decode an image to mode RGB, 8 bits, first frame, at its stored size.

    Width and height swap where `policy` turns an image that lies on its side.

    Raises:
        UnreadableImage: For any bytes that cannot be decoded within `limits`.
    """
    with opened(raw, limits) as image:
        image.load()
        # Where nothing is to be done it is returned itself: a copy would be as large again.
        return to_rgb(image, policy)


def to_rgb(image: Image.Image, policy: DecodePolicy) -> Image.Image:
    """Return a decoded image in mode RGB; itself, and no copy, where nothing is to be done.

    Whatever Pillow raises for a damaged image comes through, see `opening.DAMAGE`.
    """
    rgb = over_white(in_8_bits(image), in_srgb=policy.colour == "srgb")
    return turned(rgb, orientation_of(image)) if policy.turns else rgb


def over_white(image: Image.Image, *, in_srgb: bool = False) -> Image.Image:
    """Return an image of 8 bits in mode RGB, laid over white where it is transparent.

    Args:
        image: Left as it is; returned itself where it is opaque RGB.
        in_srgb: Follow its colour profile, where that can be done.
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
    """Return a decoded image with 8 bits per sample; itself where it has no more.

    Grey of 16 bits keeps its upper 8, as Pillow does for colour of 16 bits. Integers and floats
    of 32 bits, which no format that is read by default has, are taken for 16-bit grey or for
    [0, 1] where they fit, and scaled by their highest value where they do not.
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
    """Return the opacity of each pixel, of an image in 8 bits; None where all are opaque."""
    if not image.has_transparency_data:
        return None
    alpha = _converted(image, "RGBA").getchannel("A")
    return None if alpha.getextrema() == (255, 255) else alpha


def turned(image: Image.Image, orientation: int) -> Image.Image:
    """Return an image turned as an orientation in [1, 8] asks; itself for 1."""
    method = _TURNS.get(orientation)
    return image if method is None else image.transpose(method)


def _converted(image: Image.Image, mode: str) -> Image.Image:
    return image if image.mode == mode else image.convert(mode)


def orientation_of(image: Image.Image) -> int:
    """The EXIF (or XMP) orientation in [1, 8]; 1 where there is none or it is damaged."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except DAMAGE:
        return 1
    return value if isinstance(value, int) and value in _TURNS else 1


def _to_srgb(image: Image.Image) -> Image.Image:
    """RGB by the picture's own ICC profile, or as Pillow converts when there is none to follow."""
    icc = image.info.get("icc_profile")
    space = image.mode if image.mode in {"CMYK", "L"} else "RGB"
    if not icc or len(icc) > MAX_ICC_BYTES:
        return image.convert("RGB")
    followed = follow_profile(_converted(image, space), icc)
    # A damaged profile, or one for other channels than these: the colours as stored.
    return image.convert("RGB") if followed is None else followed


def follow_profile(image: Image.Image, icc: bytes) -> Image.Image | None:
    """Return an image in sRGB by an ICC profile; None for one that cannot be followed for it."""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        return ImageCms.profileToProfile(
            image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, *DAMAGE):
        return None
