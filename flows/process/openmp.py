"""Waiting policy of PyTorch's threads if several processes share the cores."""

from __future__ import annotations

import os
from typing import Final

# A few microseconds. Measured on two cores with images of 96 px by `mini-sd3`: 0.79 s per image
# instead of 0.72 s alone, and 2.3 s instead of 50 s beside a second such process.
_SPINS: Final = "3000"
_SET_BY_USER: Final = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")


def let_waiting_threads_sleep() -> None:
    """Shorten the busy wait of GNU OpenMP threads; must be called before PyTorch is loaded.

    By default threads spin for milliseconds after each small product, and block the core that the
    thread they wait for needs. Settings of the environment take precedence.
    """
    if not any(name in os.environ for name in _SET_BY_USER):
        os.environ["GOMP_SPINCOUNT"] = _SPINS
