"""Where this machine keeps what it can make again: measurements, quantised weights, indexes."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder(*parts: str) -> Path:
    """A folder below `ASSAY_CACHE`, else below `assay` in the user's cache; not made yet."""
    stated = os.environ.get("ASSAY_CACHE")
    if stated:
        return Path(stated).expanduser().joinpath(*parts)
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(home).expanduser().joinpath("assay", *parts)
