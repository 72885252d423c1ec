"""Host memory from which an accelerator copies its batches, kept from batch to batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .protocol import Images

if TYPE_CHECKING:
    import torch


class UploadBuffer:
    """Host copy of one batch at a time, in memory that is allocated once.

    A new array per batch of 64 images of 384 px would be 113 MB of fresh pages, which the system
    clears first, and on CUDA a second copy into pinned memory.

    Args:
        is_pinned: Whether the pages are pinned, so that CUDA reads them without another copy.
    """

    def __init__(self, *, is_pinned: bool) -> None:
        self._is_pinned = is_pinned
        self._rows: torch.Tensor | None = None

    def filled(self, images: Images, n_rows: int) -> torch.Tensor:
        """Copy images into the buffer and return its first rows; rows after the images are zeros.

        Args:
            images: Pixels of N >= 1 images of one shape.
            n_rows: Number of rows, N or more.

        Returns:
            Tensor (n_rows, 3, side, side), overwritten by the next call.

        Raises:
            RuntimeError: The memory cannot be allocated.
        """
        import torch

        shape = (n_rows, *images[0].shape)
        if self._rows is None or len(self._rows) < n_rows or self._rows.shape[1:] != shape[1:]:
            self._rows = None  # freed before the next one is allocated
            self._rows = torch.empty(shape, dtype=torch.float32, pin_memory=self._is_pinned)
        rows = self._rows[:n_rows]
        array = rows.numpy()
        np.stack(list(images), out=array[: len(images)])
        array[len(images) :] = 0
        return rows
