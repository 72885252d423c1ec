"""The number of threads that pictures are computed with, the same on every machine.

Convolutions and group norms add in another order when the number of threads is another, and the
last bits of a sum decide a rounding here and there: the same plan and seed would make other
pictures on a machine with other cores, or after a kill.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import torch

THREADS: Final = 4
"""On fewer cores they take turns, at little cost; more would gain little at a picture a time."""


@contextmanager
def fixed_threads() -> Iterator[None]:
    """Compute with `THREADS` threads in this block, whatever PyTorch was told before."""
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        yield
    finally:
        torch.set_num_threads(before)
