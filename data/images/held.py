"""Images held in memory, as Pillow images and uint8 arrays, as encoded bytes.

An image that was opened from a file, and has the pixels of the file, keeps the bytes of the file.
Any other becomes a PNG of its pixels alone: the same pixels give the same bytes, with one version
of Pillow.
"""

from __future__ import annotations

import hashlib
import io
import threading
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from ..errors import InputError, UnreadableImage
from ..vocabulary import Reason
from .limits import DAMAGE, DEFAULT_LIMITS, ImageLimits, opened

HeldImage = Image.Image | NDArray[np.uint8]

# Level 1 takes a quarter of the time of level 6 for 8 % more bytes, on a photo of one megapixel.
_COMPRESS_LEVEL: Final = 1
_MODES: Final = frozenset({"1", "L", "LA", "RGB", "RGBA", "I;16"})
_CHANNELS: Final = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
_ALLOWED: Final = (
    "allowed: uint8 arrays of shape (height, width), or (height, width, channels) with 1 (grey),"
    " 3 (RGB) or 4 channels (RGBA)"
)

# Two threads may read the file behind one image.
_reading = threading.Lock()


def check_array(array: NDArray[np.generic], where: str) -> None:
    """Refuse an array that is not an image of 8 bits per channel.

    Args:
        array: Array of any shape and type.
        where: Name of the array, for the message.

    Raises:
        InputError: The type or the shape is another; the message says how to convert it.
    """
    if array.dtype != np.uint8:
        advice = "convert it with .astype('uint8') if its values are whole numbers from 0 to 255"
        if array.dtype.kind == "f":
            advice = (
                "whether its values go to 1 or to 255 is not known; convert it with"
                " (255 * x).round().clip(0, 255).astype('uint8') if they go to 1"
            )
        raise InputError(f"{where} is an array of {array.dtype}; {_ALLOWED}; {advice}")
    shape = array.shape
    is_image = len(shape) == 2 or (len(shape) == 3 and shape[2] in _CHANNELS)
    if not is_image or 0 in shape:
        advice = ""
        if len(shape) == 3 and shape[0] in {1, 3, 4} and 0 not in shape:
            advice = "; put the channels last with .transpose(1, 2, 0)"
        raise InputError(f"{where} is an array of shape {shape}; {_ALLOWED}{advice}")


def digest_of(image: HeldImage, limits: ImageLimits = DEFAULT_LIMITS) -> str:
    """Return a hash that changes with the image's content, 24 hex digits.

    Args:
        image: Pillow image, or array as `check_array` accepts it.
        limits: Limits on the file behind a Pillow image.
    """
    if isinstance(image, Image.Image):
        raw = original_bytes(image, limits)
        if raw is not None:
            return hashlib.blake2b(raw, digest_size=12).hexdigest()
        try:
            palette = image.getpalette("RGBA") or [] if image.mode in {"P", "PA"} else []
            head, pixels = f"{image.mode} {image.size} {palette}", image.tobytes()
        except DAMAGE as error:
            head, pixels = f"{image.mode} {image.size} {error}", b""  # `encoded` has the reason
    else:
        head, pixels = str(image.shape), np.ascontiguousarray(image).tobytes()
    return hashlib.blake2b(head.encode() + pixels, digest_size=12).hexdigest()


def encoded(image: HeldImage, limits: ImageLimits = DEFAULT_LIMITS) -> bytes:
    """Return the encoded bytes of an image: those of its file, or a PNG.

    Args:
        image: Pillow image, or array as `check_array` accepts it.
        limits: Limits on bytes and pixels.

    Raises:
        UnreadableImage: The image is damaged, beyond a limit, or of a mode that PNG does not hold.
    """
    if not isinstance(image, Image.Image):
        channels = 1 if image.ndim == 2 else image.shape[2]
        shape = (*image.shape[:2], channels) if channels > 1 else image.shape[:2]
        image = Image.fromarray(np.ascontiguousarray(image).reshape(shape), _CHANNELS[channels])
    elif (raw := original_bytes(image, limits)) is not None:
        return raw
    try:
        return _png(image, limits)
    except DAMAGE as error:
        raise UnreadableImage(Reason.UNREADABLE, f"an image that cannot be loaded: {error}") from (
            error
        )


def _png(image: Image.Image, limits: ImageLimits) -> bytes:
    if image.width * image.height > limits.max_pixels:
        n_pixels = image.width * image.height
        raise UnreadableImage(
            Reason.TOO_MANY_PIXELS, f"{n_pixels} pixels; allowed: {limits.max_pixels}"
        )
    plain = _of_png_mode(image)
    out = io.BytesIO()
    # No metadata but the profile, without which the colours are others.
    icc = image.info.get("icc_profile")
    clear = plain.info.get("transparency")
    options = {} if clear is None or plain.mode not in {"L", "RGB"} else {"transparency": clear}
    plain.save(out, "PNG", compress_level=_COMPRESS_LEVEL, icc_profile=icc, **options)
    return out.getvalue()


def _of_png_mode(image: Image.Image) -> Image.Image:
    """Return an image in a mode that PNG holds, with the same colours."""
    if image.mode in _MODES:
        return image
    if image.mode in {"P", "PA"}:
        return image.convert("RGBA" if image.has_transparency_data else "RGB")
    if image.mode == "RGBX":
        return image.convert("RGB")
    raise UnreadableImage(
        Reason.UNSUPPORTED_FORMAT,
        f"an image of mode {image.mode} in memory, which has no lossless file here; convert it"
        ' with .convert("RGB")',
    )


def original_bytes(image: Image.Image, limits: ImageLimits = DEFAULT_LIMITS) -> bytes | None:
    """Return the bytes of the file that an image was opened from; None if they are not at hand.

    They are at hand if the image is not loaded yet and shows the first frame of its file, or if the
    file still exists and has the pixels of the image.
    """
    if not isinstance(image, ImageFile.ImageFile):
        return None
    try:
        with _reading:
            if getattr(image, "tell", int)() != 0:
                return None
            raw = _of_open_file(image, limits)
        if raw is not None:
            with opened(raw, limits) as header:
                return raw if (header.mode, header.size) == (image.mode, image.size) else None
        if not isinstance(image.filename, str | Path) or not str(image.filename):
            return None
        path = Path(image.filename)
        if path.stat().st_size > limits.max_bytes:
            return None
        raw = path.read_bytes()
        with opened(raw, limits) as again:
            if (again.mode, again.size) != (image.mode, image.size):
                return None
            if image.tile:  # closed before it was loaded, as after a `with` block
                return raw
            is_equal = again.getpalette() == image.getpalette()
            return raw if is_equal and again.tobytes() == image.tobytes() else None
    except (UnreadableImage, *DAMAGE):
        return None


def _of_open_file(image: ImageFile.ImageFile, limits: ImageLimits) -> bytes | None:
    """Return the bytes of the file from which the pixels are still to be loaded, if any."""
    file = image.fp
    if not image.tile or file is None or file.closed:
        return None
    position = file.tell()
    try:
        file.seek(0)
        raw = file.read(limits.max_bytes + 1)
    finally:
        file.seek(position)
    return raw if len(raw) <= limits.max_bytes else None
