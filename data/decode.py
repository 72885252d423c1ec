"""From encoded bytes to RGB: three named policies, each a documented set of choices.

A score depends on them, so a policy never changes: a different choice gets a new number.
Nothing is resized here. In all three an animation gives its first frame, and JPEG is
decoded in full (no draft mode).
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Final

from PIL import Image, ImageCms

from .opening import DAMAGE, DEFAULT_LIMITS, ImageLimits, opened


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodePolicy:
    """What is done to a picture on its way to RGB.

    Attributes:
        name: Stored with every score; unique to this set of choices.
        turns: Whether the orientation that the metadata asks for is applied.
        alpha: "dropped" (colours as stored, as Pillow converts) or "white" (laid over white).
        deep: 16-bit grey is "clipped" at 255 (as Pillow converts) or "scaled" to 8 bits.
        colour: "as-stored", or "srgb" where an ICC profile can be followed.
    """

    name: str
    turns: bool
    alpha: str
    deep: str
    colour: str

    def describe(self) -> str:
        """All choices in one line, for records."""
        turned = "turned as metadata asks" if self.turns else "not turned"
        return (
            f"{self.name}: {turned}, alpha {self.alpha}, 16-bit {self.deep}, "
            f"colour {self.colour}, first frame, RGB"
        )


# Exactly `Image.open(file).convert("RGB")`, what the detector's authors do.
PLAIN: Final = DecodePolicy(
    name="plain@1", turns=False, alpha="dropped", deep="clipped", colour="as-stored"
)
# `ImageOps.exif_transpose` first, what the loaders of transformers do.
UPRIGHT: Final = DecodePolicy(
    name="upright@1", turns=True, alpha="dropped", deep="clipped", colour="as-stored"
)
# For people's eyes: thumbnails and reports. Never for a score.
DISPLAY: Final = DecodePolicy(
    name="display@1", turns=True, alpha="white", deep="scaled", colour="srgb"
)

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
# Real profiles are under 4 KB (displays) to 2 MB (presses); larger ones are not worth parsing.
_MAX_ICC_BYTES: Final = 4 * 2**20


def decode_rgb(
    raw: bytes, policy: DecodePolicy, *, limits: ImageLimits = DEFAULT_LIMITS
) -> Image.Image:
    """The picture in mode RGB, 8 bits, first frame, at its stored size.

    Width and height swap where `policy` turns a picture that lies on its side.

    Raises:
        UnreadableImage: For any bytes that cannot be decoded within `limits`.
    """
    with opened(raw, limits) as image:
        image.load()
        rgb = to_rgb(image, policy)
        return rgb.copy() if rgb is image else rgb


def to_rgb(image: Image.Image, policy: DecodePolicy) -> Image.Image:
    """A decoded picture in mode RGB; itself, and no copy, where nothing is to be done.

    Whatever Pillow raises for a damaged picture comes through, see `opening.DAMAGE`.
    """
    method = _TURNS.get(orientation_of(image), None) if policy.turns else None
    if policy.colour == "srgb" or policy.alpha == "white" or policy.deep == "scaled":
        rgb = _for_display(image)
    else:
        rgb = image if image.mode == "RGB" else image.convert("RGB")
    return rgb if method is None else rgb.transpose(method)


def orientation_of(image: Image.Image) -> int:
    """The EXIF (or XMP) orientation in [1, 8]; 1 where there is none or it is damaged."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except DAMAGE:
        return 1
    return value if isinstance(value, int) and value in _TURNS else 1


def _for_display(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        image = image.convert("I").point(lambda value: value / 256).convert("L")
    elif image.mode in {"I", "F"}:
        image = image.convert("F").point(lambda value: value / 256).convert("L")
    alpha = image.convert("RGBA").getchannel("A") if image.has_transparency_data else None
    rgb = _to_srgb(image)
    if alpha is None:
        return rgb
    white = Image.new("RGB", rgb.size, "white")
    white.paste(rgb, mask=alpha)
    return white


def _to_srgb(image: Image.Image) -> Image.Image:
    """RGB by the picture's own ICC profile, or as Pillow converts when there is none to follow."""
    icc = image.info.get("icc_profile")
    space = "CMYK" if image.mode == "CMYK" else "L" if image.mode == "L" else "RGB"
    if not icc or len(icc) > _MAX_ICC_BYTES:
        return image.convert("RGB")
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        source = image if image.mode == space else image.convert(space)
        converted = ImageCms.profileToProfile(
            source, profile, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, *DAMAGE):
        # A damaged profile, or one for other channels than these: the colours as stored.
        return image.convert("RGB")
    return converted if converted is not None else image.convert("RGB")
