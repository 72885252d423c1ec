"""Legibility of the text that an image should show, by OCR."""

from __future__ import annotations

import functools
import importlib.metadata
import sys
import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...data.errors import SynthError, shorten

# Several runs of a process may read at once, but the engine is not thread-safe.
_READING = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Legibility:
    """The text that was read, and the share of the expected text in it."""

    read: str
    """Text of all lines, joined by spaces."""
    share: float
    """Share of the expected characters in [0, 1], see `readable_share`."""


class TextReader:
    """An OCR reader with RapidOCR's packaged models, on the CPU through OpenVINO.

    Raises:
        SynthError: rapidocr is not installed.
    """

    def __init__(self) -> None:
        self._engine = _engine()
        self.reader_id = f"rapidocr@{importlib.metadata.version('rapidocr')}"
        """Package and version, which determine the models."""

    def read(self, rgb_u8_hwc: NDArray[np.uint8], expected: str) -> Legibility:
        """Read the text of an image and compare it with the expected text.

        Args:
            rgb_u8_hwc: Image, RGB, shape (H, W, 3).
            expected: Text that the image should show.
        """
        # The engine expects BGR, as OpenCV reads images.
        with _READING:
            lines = self._engine(np.ascontiguousarray(rgb_u8_hwc[..., ::-1]))
        text = " ".join(lines.txts or ())
        return Legibility(read=text, share=readable_share(expected, text))


@functools.cache
def _engine() -> Any:
    """Return the only engine of this process, which lives as long as the process.

    An engine creates cores of OpenVINO. When two of them are destroyed in the order of their
    creation, the thread keeps the address of a freed signal stack, and the next Ctrl-C is a
    SIGSEGV.

    Raises:
        SynthError: rapidocr is not installed.
    """
    # Importing OpenVINO sends usage data unless this package is missing.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        import rapidocr
    except ImportError as error:
        raise SynthError(
            f"ocr = true needs rapidocr ({shorten(str(error))}): pip install 'assay[ocr]'"
        ) from error
    parts = ("Det", "Cls", "Rec")
    return rapidocr.RapidOCR(
        params={f"{part}.engine_type": rapidocr.EngineType.OPENVINO for part in parts}
        | {"Global.log_level": "critical"}
    )


def readable_share(expected: str, read: str) -> float:
    """Compute one minus the character error rate of the best matching substring.

    Case and spaces are ignored. The substring is found by approximate string matching (Sellers
    1980), so that other text in the image costs nothing.

    Args:
        expected: Text that the image should show.
        read: Text that was read.

    Returns:
        Share in [0, 1]; 1 if all expected characters were read in order, or none is expected.
    """
    wanted, seen = (_letters(text) for text in (expected, read))
    if not wanted:
        return 1.0
    # errors[j]: fewest edits that turn a prefix of `wanted` into a substring of `seen` that ends
    # at j; the substring may begin anywhere, so the first row is zero.
    errors = [0] * (len(seen) + 1)
    for row, letter in enumerate(wanted, start=1):
        before, errors = errors, [row]
        for column, other in enumerate(seen, start=1):
            errors.append(
                min(
                    before[column] + 1,
                    errors[column - 1] + 1,
                    before[column - 1] + (letter != other),
                )
            )
    return 1.0 - min(errors) / len(wanted)


def _letters(text: str) -> str:
    return "".join(text.casefold().split())
