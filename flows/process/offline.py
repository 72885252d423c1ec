"""Work without downloads from the model hub."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Final

_VARIABLE: Final = "HF_HUB_OFFLINE"


@contextlib.contextmanager
def offline() -> Iterator[None]:
    """Block downloads from the model hub during the `with` block."""
    before = os.environ.get(_VARIABLE)
    os.environ[_VARIABLE] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_VARIABLE]
        else:
            os.environ[_VARIABLE] = before
