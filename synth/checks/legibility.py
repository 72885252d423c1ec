"""Whether the words that a picture was asked to show can be read in it."""

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

# Several runs of a process may read at once; the engine may not.
_READING = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Legibility:
    """What was read, and how much of what was asked for is in it."""

    read: str
    """All lines found, joined by spaces."""
    share: float
    """Of the expected characters, see `readable_share`; in [0, 1]."""


class TextReader:
    """RapidOCR's packaged models, on the CPU through OpenVINO.

    Raises:
        SynthError: rapidocr is not installed.
    """

    def __init__(self) -> None:
        self._engine = _engine()
        self.reader_id = f"rapidocr@{importlib.metadata.version('rapidocr')}"
        """Package and version, which fixes its models."""

    def read(self, rgb_u8_hwc: NDArray[np.uint8], expected: str) -> Legibility:
        """Read a picture of shape (H, W, 3), and compare with the words that it shall show."""
        # It takes pictures as OpenCV reads them: blue first.
        with _READING:
            lines = self._engine(np.ascontiguousarray(rgb_u8_hwc[..., ::-1]))
        text = " ".join(lines.txts or ())
        return Legibility(read=text, share=readable_share(expected, text))


@functools.cache
def _engine() -> Any:
    """Return the one engine of this process, which lives as long as the process.

    It makes cores of OpenVINO. Where two of them end in the order of their making, the thread
    keeps the address of a signal stack that is gone, and the next Ctrl-C ends in SIGSEGV.
    """
    # Importing OpenVINO reports its use to its maker, unless this package is missing.
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
    """One minus the character error rate of the best matching stretch of what was read.

    Upper and lower case, and spaces, do not count. The stretch is found by approximate matching
    (Sellers 1980): words elsewhere in the picture cost nothing.

    Returns:
        1 where every expected character is there in its order, 0 where none is.
    """
    wanted, seen = (_letters(text) for text in (expected, read))
    if not wanted:
        return 1.0
    # errors[j]: fewest edits that turn the first characters of `wanted` into a stretch of `seen`
    # that ends at j; it may begin anywhere, so the first row is all zeros.
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
