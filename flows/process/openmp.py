"""How PyTorch's threads wait for each other, where several processes share the cores."""

from __future__ import annotations

import os
from typing import Final

# Some microseconds. Measured on two cores with pictures of 96 px by `mini-sd3`: 0.79 s a picture
# instead of 0.72 alone, and 2.3 instead of 50 with a second process of the same beside it.
_SPINS: Final = "3000"
_SAID_BY_USER: Final = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")


def let_waiting_threads_sleep() -> None:
    """Have threads of GNU OpenMP sleep soon while they wait; to be called before PyTorch loads.

    By default they turn in circles for milliseconds after each small product, and hold the core
    that the thread they wait for could run on. The environment's own word on it counts.
    """
    if not any(name in os.environ for name in _SAID_BY_USER):
        os.environ["GOMP_SPINCOUNT"] = _SPINS
