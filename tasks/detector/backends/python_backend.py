"""A Python object in the place of a network: bytes of pixels in, checked arrays out."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....data.errors import ModelError, brief
from ..weights.python_detector import PythonDetector
from .protocol import Embeddings, Logits

BATCH_IMAGES = 8


class PythonBackend:
    """The object's own code; see `Backend`. One thread at a time is in it.

    Args:
        scorer: The object.
    """

    def __init__(self, scorer: PythonDetector) -> None:
        self.name = "python"
        self.precision = "fp32"
        # Threads decode here; where the object computes is its own affair.
        self.device = "cpu"
        self.batch_images = BATCH_IMAGES
        self._scorer: Any = scorer
        self._lock = threading.Lock()

    def run(self, pixels_f32_nchw: NDArray[np.float32]) -> tuple[Logits, Embeddings]:
        """Return logits (N,) and embeddings (N, D) of pixels in [0, 1].

        Raises:
            ModelError: The object raises, or gives arrays of another shape, or no numbers.
        """
        n_images = len(pixels_f32_nchw)
        # The profile divided bytes by 255; rounding gives each of them back.
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
        """Nothing to prepare."""
        yield lambda: None

    def free(self) -> None:
        """Nothing to give back that is known here."""

    def _called(self, method: str, squares: NDArray[np.uint8]) -> NDArray[np.float32]:
        try:
            given = getattr(self._scorer, method)(squares)
        except MemoryError:
            raise  # smaller batches are tried
        except Exception as error:  # somebody else's code raises anything
            if "out of memory" in str(error).lower():
                raise
            raise ModelError(
                f"{self._scorer.card.name}: {method} raised {type(error).__name__}:"
                f" {brief(error)}; correct the detector"
            ) from error
        # Numpy would take None for NaN.
        values = "nothing" if given is None else given
        try:
            return np.array(values, dtype=np.float32)
        except (TypeError, ValueError) as error:
            raise ModelError(
                f"{self._scorer.card.name}: {method} gave {type(given).__name__}, no array of"
                " numbers; correct the detector"
            ) from error

    def _misshapen(
        self, method: str, array: NDArray[np.float32], expected: str, n_images: int
    ) -> str:
        return (
            f"{self._scorer.card.name}: {method} gave shape {array.shape} for {n_images} images;"
            f" expected {expected}; correct the detector"
        )
