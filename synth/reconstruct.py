"""Aligned fakes: a photo through an autoencoder and back, then encoded as the photo was.

Content, size, file format and compression stay those of the photo, so what is left to tell the
two apart is the trace of the decoder. That is the point: a detector trained on such pairs cannot
pass by learning subjects, sizes or codecs.

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
"""A WebP file does not tell the quality it was saved at."""
PHOTO_LIMITS = ImageLimits(max_bytes=2**31, max_pixels=Image.MAX_IMAGE_PIXELS or 2**28)
"""A photo passed the limits of whoever stored it; here only Pillow's own bound is left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlignedFake:
    """One reconstructed picture: encoded bytes, and what is needed to make it again."""

    raw: bytes
    format: str
    width_px: int
    height_px: int
    autoencoder: str
    weights_sha256: str
    psnr_db: float
    """Against the decoded photo, before encoding; infinite when nothing changed."""


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
    """The photo as the autoencoder gives it back, in the photo's own file format and settings.

    Args:
        photo: An encoded JPEG, PNG or WebP.
        autoencoder: The maps to go through.
        window: Left, top, right, bottom in pixels: do this part only. A corner on a multiple of
            16 keeps the JPEG blocks where the photo has them.
        short_px: Reduce the photo to this short edge first; the window is in the reduced photo.
        dct_blend: How much of each 8x8 block's frequencies comes from the autoencoder: 1 is all
            of it, 0 gives the photo back.
        seed: Draws which frequencies are blended.
        is_marked: Declare the result machine-made in its XMP metadata; leave it off only for
            pictures that never leave memory, such as training pairs.

    Raises:
        SynthError: the photo does not decode, is of another format, or the blend is out of range.
    """
    try:
        with opened(photo, PHOTO_LIMITS) as image:
            image.load()
            settings = encoding_of(image)
            # Not turned: the file asks for the photo's turn, and JPEG's blocks stay where they are.
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
    """The picture with its short edge at `short_px`; one that is no larger stays as it is."""
    return image.resize(reduced_size(image.size, short_px), Image.Resampling.LANCZOS)


def reduced_size(size: tuple[int, int], short_px: int | None) -> tuple[int, int]:
    """What `reduced` makes of a width and height."""
    if short_px is None or min(size) <= short_px:
        return size
    width, height = (round(side * short_px / min(size)) for side in size)
    return (width, height)


def encoding_of(image: Image.Image) -> dict[str, Any]:
    """Arguments for `Image.save` that encode another picture as this one was.

    A JPEG's own quantisation tables and chroma subsampling are taken over as they stand, which is
    exact where a quality number would be a guess. Orientation and colour profile come along,
    since they belong to how the pixels are shown.

    Raises:
        SynthError: the format is none of JPEG, PNG, WEBP.
    """
    settings: dict[str, Any] = {"format": image.format}
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        # A phone's multi-picture JPEG calls itself MPO; its first frame is a plain JPEG.
        settings["format"] = "JPEG"
        # Two tables at most: the picture is written as YCbCr, whatever the photo's components.
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
    # A profile of another colour space (grey, CMYK) would be wrong on RGB pixels.
    if image.mode == "RGB" and (profile := image.info.get("icc_profile")):
        settings["icc_profile"] = profile
    return settings


def encoded_as(image: Image.Image, settings: dict[str, Any]) -> bytes:
    """The picture as a file, with the settings of `encoding_of`."""
    buffer = io.BytesIO()
    image.save(buffer, **settings)
    return buffer.getvalue()
