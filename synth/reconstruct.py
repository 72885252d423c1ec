"""Aligned fakes: a photo encoded and decoded by an autoencoder, in the photo's file settings.

Content, size, file format and compression are those of the photo, so the two differ only in the
trace of the decoder: a detector trained on such pairs cannot rely on subjects, sizes or codecs.

Source: Chen et al. 2025, "Dual Data Alignment Makes AI-Generated Image Detector Easier
Generalizable" (same content, then the photo's own JPEG settings, then a blend by frequency).
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, JpegImagePlugin

from ..data.errors import SynthError, UnreadableImage
from ..data.images.decode import PLAIN, to_rgb
from ..data.images.limits import ImageLimits, opened
from .dct import blend_in_dct
from .marking import Mark, SourceType, marked

if TYPE_CHECKING:
    from .autoencoder import Autoencoder

ORIENTATION_TAG = 0x0112
WEBP_QUALITY = 90
"""Quality for WebP, since a WebP file does not store its quality."""
PHOTO_LIMITS = ImageLimits(max_bytes=2**31, max_pixels=Image.MAX_IMAGE_PIXELS or 2**28)
"""Limits for photos of the lake, which passed those of the ingest: only Pillow's own bound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlignedFake:
    """An encoded reconstruction of a photo, with the identity of its autoencoder."""

    raw: bytes
    """Encoded file."""
    format: str
    """Format of the file: JPEG, PNG or WEBP."""
    width_px: int
    """Width as stored, in pixels."""
    height_px: int
    """Height as stored, in pixels."""
    autoencoder: str
    """Name of the autoencoder."""
    weights_sha256: str
    """Hash of the autoencoder's weights."""
    psnr_db: float
    """PSNR against the decoded photo in dB, before encoding; infinite if nothing changed."""


def aligned_fake(
    photo: bytes,
    autoencoder: Autoencoder,
    *,
    window: tuple[int, int, int, int] | None = None,
    short_px: int | None = None,
    dct_blend: float = 1.0,
    seed: int = 0,
    is_marked: bool = True,
) -> AlignedFake:
    """Reconstruct a photo with an autoencoder and encode it with the photo's file settings.

    Args:
        photo: Encoded JPEG, PNG or WebP.
        autoencoder: Autoencoder of the reconstruction.
        window: Left, top, right and bottom of the part to reconstruct, in pixels of the reduced
            photo; None: all. A corner on multiples of 16 keeps the photo's grid of JPEG blocks.
        short_px: Short edge to which the photo is reduced first, in pixels; None: not reduced.
        dct_blend: Share of the frequencies of each 8x8 block taken from the autoencoder, in
            [0, 1]; 0 is the photo itself.
        seed: Seed for the choice of the blended frequencies.
        is_marked: Whether the XMP metadata declare the result AI-generated; False only for images
            that stay in memory, such as training pairs.

    Raises:
        SynthError: The photo cannot be decoded, has another format, or the blend is out of range.
        ConfigError: A C2PA certificate is configured and cannot be used.
    """
    try:
        with opened(photo, PHOTO_LIMITS) as image:
            image.load()
            settings = encoding_of(image)
            # The orientation stays in the metadata, so that the grid of JPEG blocks is kept.
            whole = reduced(to_rgb(image, PLAIN), short_px)
            rgb = np.asarray(whole.crop(window or (0, 0, *whole.size)))
    except UnreadableImage as error:
        raise SynthError(f"the photo cannot be decoded: {error}") from error
    back = autoencoder.reconstruct(rgb)
    if dct_blend != 1.0:
        back = blend_in_dct(rgb, back, share=dct_blend, seed=seed)
    error_rms = float(np.sqrt(np.mean((back.astype(np.float32) - rgb) ** 2)))
    height, width = back.shape[:2]
    raw = encoded_as(Image.fromarray(back), settings)
    if is_marked:
        mark = Mark(source_type=SourceType.MADE, generator=autoencoder.name)
        raw = marked(raw, mark)
    return AlignedFake(
        raw=raw,
        format=settings["format"],
        width_px=width,
        height_px=height,
        autoencoder=autoencoder.name,
        weights_sha256=autoencoder.weights_sha256,
        psnr_db=float("inf") if error_rms == 0 else 20 * float(np.log10(255 / error_rms)),
    )


def reduced(image: Image.Image, short_px: int | None) -> Image.Image:
    """Resize an image so that its short edge is at most `short_px`; None leaves it unchanged."""
    return image.resize(reduced_size(image.size, short_px), Image.Resampling.LANCZOS)


def reduced_size(size: tuple[int, int], short_px: int | None) -> tuple[int, int]:
    """Return the width and height that `reduced` gives for a size."""
    if short_px is None or min(size) <= short_px:
        return size
    width, height = (round(side * short_px / min(size)) for side in size)
    return (width, height)


def encoding_of(image: Image.Image) -> dict[str, Any]:
    """Return arguments for `Image.save` that encode another image like this one.

    The quantisation tables and chroma subsampling of a JPEG are copied, which is exact; a quality
    number would be an estimate. Orientation and colour profile are copied too, since they determine
    how the pixels are shown.

    Args:
        image: Opened image file.

    Raises:
        SynthError: The format is not JPEG, PNG or WEBP.
    """
    settings: dict[str, Any] = {"format": image.format}
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        # Multi-picture JPEGs of phones have the format MPO; their first frame is a plain JPEG.
        settings["format"] = "JPEG"
        # At most two tables, since the image is written as YCbCr.
        settings["qtables"] = [list(image.quantization[key]) for key in sorted(image.quantization)][
            :2
        ]
        sampling = JpegImagePlugin.get_sampling(image)
        settings["subsampling"] = sampling if sampling >= 0 else 0
        settings["progressive"] = bool(image.info.get("progressive"))
    elif image.format == "WEBP":
        settings["quality"] = WEBP_QUALITY
    elif image.format != "PNG":
        raise SynthError(f"a photo in {image.format} cannot be matched; allowed: JPEG, PNG, WEBP")
    orientation = image.getexif().get(ORIENTATION_TAG)
    if orientation is not None:
        exif = Image.Exif()
        exif[ORIENTATION_TAG] = orientation
        settings["exif"] = exif.tobytes()
    # A profile of another colour space (grey, CMYK) would be wrong for RGB pixels.
    if image.mode == "RGB" and (profile := image.info.get("icc_profile")):
        settings["icc_profile"] = profile
    return settings


def encoded_as(image: Image.Image, settings: dict[str, Any]) -> bytes:
    """Encode an image with the settings of `encoding_of`."""
    buffer = io.BytesIO()
    image.save(buffer, **settings)
    return buffer.getvalue()
