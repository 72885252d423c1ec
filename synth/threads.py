"""A fixed number of threads for making images, the same on every machine.

The order of summation in convolutions and group norms depends on the number of threads, and the
last bits of a sum can change a rounding. Without a fixed number, the same plan and seed would make
other images on a machine with other cores.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import torch

THREADS: Final = 4
"""Number of threads; fewer cores share them at little cost, and more gain little per image."""


@contextmanager
def fixed_threads() -> Iterator[None]:
    """Run the block with `THREADS` threads of PyTorch, and restore the number afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        yield
    finally:
        torch.set_num_threads(before)
