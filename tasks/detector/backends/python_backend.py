"""Backend of a detector that is a Python object: 8-bit pixels in, checked arrays out."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....data.errors import ModelError, brief
from ....data.text.wording import counted
from ..weights.python_detector import PythonDetector
from .protocol import Embeddings, Images, Logits, stacked

BATCH_IMAGES = 8


class PythonBackend:
    """`Backend` that calls a Python object, from one thread at a time.

    Args:
        scorer: Object that scores images.
    """

    def __init__(self, scorer: PythonDetector) -> None:
        self.name = "python"
        self.precision = "fp32"
        # Only the decoding threads need this; the object chooses its own device.
        self.device = "cpu"
        self.batch_images = BATCH_IMAGES
        self.n_lanes = 1
        self._scorer: Any = scorer
        self._lock = threading.Lock()

    def run(self, images: Images) -> tuple[Logits, Embeddings]:
        """Return logits (N,) and embeddings (N, D) of pixels in [0, 1].

        Raises:
            ModelError: The object raises an error, or returns arrays of another shape or no
                numbers.
            MemoryError: The object runs out of memory.
        """
        pixels_f32_nchw = stacked(images)
        n_images = len(pixels_f32_nchw)
        # The profile divided 8-bit values by 255; rounding restores them exactly.
        squares = np.rint(pixels_f32_nchw.transpose(0, 2, 3, 1) * 255).astype(np.uint8)
        squares = np.ascontiguousarray(squares)
        with self._lock:
            logits = self._called("score", squares)
            if hasattr(self._scorer, "embed"):
                embeddings = self._called("embed", squares)
            else:
                embeddings = np.empty((n_images, 0), np.float32)
        if logits.shape != (n_images,):
            raise ModelError(self._misshapen("score", logits, "(N,)", n_images))
        if embeddings.ndim != 2 or len(embeddings) != n_images:
            raise ModelError(self._misshapen("embed", embeddings, "(N, D)", n_images))
        return logits, embeddings

    @contextlib.contextmanager
    def streams(self, n_streams: int) -> Iterator[Callable[[], None]]:
        """Yield a call without effect: threads need no set-up."""
        yield lambda: None

    def free(self) -> None:
        """Leave the memory to the object, which manages its own."""

    def _called(self, method: str, squares: NDArray[np.uint8]) -> NDArray[np.float32]:
        try:
            given = getattr(self._scorer, method)(squares)
        except MemoryError:
            raise  # the caller retries with smaller batches
        except Exception as error:  # third-party code may raise any error
            if "out of memory" in str(error).lower():
                raise
            raise ModelError(
                f"{self._scorer.card.name}: {method} raised {type(error).__name__}:"
                f" {brief(error)}; correct the detector"
            ) from error
        # numpy would convert None to NaN.
        values = "nothing" if given is None else given
        try:
            return np.array(values, dtype=np.float32)
        except (TypeError, ValueError) as error:
            raise ModelError(
                f"{self._scorer.card.name}: {method} returned {type(given).__name__}; expected an"
                " array of numbers; correct the detector"
            ) from error

    def _misshapen(
        self, method: str, array: NDArray[np.float32], expected: str, n_images: int
    ) -> str:
        return (
            f"{self._scorer.card.name}: {method} returned shape {array.shape} for"
            f" {counted(n_images, 'image')}; expected {expected}; correct the detector"
        )
