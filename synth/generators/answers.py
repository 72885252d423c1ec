"""What a generator gives back: its picture as upright RGB, or one kind of error.

A generator may be anybody's code: whatever it raises, and whatever it returns that is no picture
within the limits, fails one picture and nothing else.
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
"""A picture in RGB, uint8, shape (H, W, 3)."""


def answer_of(source: str, call: Callable[[], object]) -> Rgb:
    """Call a generator and return its answer as RGB.

    Args:
        source: Name of the generator, for messages.
        call: The call; may raise anything and return anything.

    Raises:
        GeneratorFailed: It raised, or what it returned is no picture.
        SynthError: As raised by the call itself, which knows why it refuses.
    """
    try:
        return as_rgb(call(), source)
    except SynthError:
        raise
    except Exception as error:
        raise GeneratorFailed(f"{source} failed: {reason_of(error)}") from error


def as_rgb(picture: object, source: str) -> Rgb:
    """Return a picture as upright RGB bytes, checked.

    Args:
        picture: A Pillow image of any mode, or an array of uint8 with shape (H, W, 3).
        source: What gave it, for messages.

    Raises:
        GeneratorFailed: It is neither, or too large.
    """
    if isinstance(picture, Image.Image):
        _check_pixels(picture.width, picture.height, source)
        try:
            picture.load()
            return np.array(to_rgb(picture, UPRIGHT))
        except Exception as error:
            raise GeneratorFailed(
                f"{source} gave a picture that cannot be decoded: {reason_of(error)}"
            ) from error
    if not isinstance(picture, np.ndarray):
        raise GeneratorFailed(
            f"{source} gave {_named(picture)}; allowed: a Pillow image, or an array of uint8 "
            "(H, W, 3)"
        )
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
        raise GeneratorFailed(
            f"{source} gave an array of {picture.dtype} {picture.shape}; allowed: uint8 (H, W, 3)"
        )
    _check_pixels(picture.shape[1], picture.shape[0], source)
    return np.ascontiguousarray(picture)


def decoded(raw: bytes, source: str) -> Rgb:
    """Return an encoded picture as upright RGB, within the limits of any picture that is read.

    Raises:
        GeneratorFailed: The bytes are no picture, or beyond a limit.
    """
    try:
        return np.array(decode_rgb(raw, UPRIGHT))
    except Exception as error:
        raise GeneratorFailed(f"{source} gave no picture: {reason_of(error)}") from error


def reason_of(error: BaseException) -> str:
    """Return an exception as one line: its kind, and its message where it has one."""
    text = str(error)
    return shorten(f"{type(error).__name__}: {text}" if text else type(error).__name__, 160)


def _check_pixels(width_px: int, height_px: int, source: str) -> None:
    if width_px * height_px > DEFAULT_LIMITS.max_pixels:
        raise GeneratorFailed(
            f"{source} gave a picture of {width_px}x{height_px} px; allowed: "
            f"{DEFAULT_LIMITS.max_pixels} pixels"
        )


def _named(value: Any) -> str:
    return "None" if value is None else f"a {type(value).__name__}"
