"""Answers of generators: an image as upright RGB, or a `GeneratorFailed`.

A generator may be foreign code: an exception, or an answer that is not an image within the limits,
fails one image and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...data.errors import GeneratorFailed, SynthError, shorten
from ...data.images.decode import UPRIGHT, decode_rgb, to_rgb
from ...data.images.limits import DEFAULT_LIMITS

Rgb = NDArray[np.uint8]
"""Image in RGB, uint8, shape (H, W, 3)."""


def answer_of(source: str, call: Callable[[], object]) -> Rgb:
    """Call a generator and return its answer as RGB.

    Args:
        source: Name of the generator in messages.
        call: Call of the generator; it may raise anything and return anything.

    Raises:
        GeneratorFailed: The call raised, or did not return an image.
        SynthError: The call refused by raising it; it is passed on unchanged.
    """
    try:
        return as_rgb(call(), source)
    except SynthError:
        raise
    except Exception as error:
        raise GeneratorFailed(f"{source} failed: {reason_of(error)}") from error


def as_rgb(image: object, source: str) -> Rgb:
    """Return an image as upright RGB, after a check of its type and size.

    Args:
        image: Pillow image of any mode, or array of uint8 with shape (H, W, 3).
        source: Origin of the image in messages.

    Raises:
        GeneratorFailed: It is neither, or too large.
    """
    if isinstance(image, Image.Image):
        _check_pixels(image.width, image.height, source)
        try:
            image.load()
            return np.array(to_rgb(image, UPRIGHT))
        except Exception as error:
            raise GeneratorFailed(
                f"{source} returned an image that cannot be decoded: {reason_of(error)}"
            ) from error
    if not isinstance(image, np.ndarray):
        raise GeneratorFailed(
            f"{source} returned {_named(image)}; allowed: a Pillow image, or an array of uint8 "
            "(H, W, 3)"
        )
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise GeneratorFailed(
            f"{source} returned an array of {image.dtype} {image.shape}; allowed: uint8 (H, W, 3)"
        )
    _check_pixels(image.shape[1], image.shape[0], source)
    return np.ascontiguousarray(image)


def decoded(raw: bytes, source: str) -> Rgb:
    """Decode an image to upright RGB, within the limits for all images.

    Args:
        raw: Encoded image.
        source: Origin of the image in messages.

    Raises:
        GeneratorFailed: The bytes are not an image, or exceed a limit.
    """
    try:
        return np.array(decode_rgb(raw, UPRIGHT))
    except Exception as error:
        raise GeneratorFailed(f"{source} returned no image: {reason_of(error)}") from error


def reason_of(error: BaseException) -> str:
    """Return an exception in one line: its type, and its message if it has one."""
    text = str(error)
    return shorten(f"{type(error).__name__}: {text}" if text else type(error).__name__, 160)


def _check_pixels(width_px: int, height_px: int, source: str) -> None:
    if width_px * height_px > DEFAULT_LIMITS.max_pixels:
        raise GeneratorFailed(
            f"{source} returned an image of {width_px}x{height_px} px; allowed: at most "
            f"{DEFAULT_LIMITS.max_pixels} pixels"
        )


def _named(value: Any) -> str:
    return "None" if value is None else f"a {type(value).__name__}"
