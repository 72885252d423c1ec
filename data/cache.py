"""Where this machine keeps what it can make again: measurements, quantised weights, indexes."""

from __future__ import annotations

import logging
import os
import stat
import tempfile
from pathlib import Path

from .user_paths import from_home

_log = logging.getLogger(__name__)


def cache_folder(*parts: str) -> Path:
    """A folder below `ASSAY_CACHE`, else below `assay` in the user's cache; not made yet."""
    ensure_home()
    stated = os.environ.get("ASSAY_CACHE")
    if stated:
        return from_home(stated).joinpath(*parts)
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return from_home(home).joinpath("assay", *parts)


def ensure_home() -> None:
    """Give a user without a home folder a temporary one, and say so once.

    In containers a process often runs as a number that no user database knows, without `HOME`.
    Prefect, the hub's cache and PyTorch all look for a home folder when they are imported, so it
    is set for the whole process. With `ASSAY_CACHE` that folder serves, and nothing is said.
    """
    try:
        Path.home()
    except RuntimeError:
        stated = os.environ.get("ASSAY_CACHE")
        home = Path(stated).absolute() if stated else _temporary_home()
        os.environ["HOME"] = str(home)
        # Else PyTorch asks the user database for a name, which has none.
        os.environ.setdefault("USER", home.name)
        if not stated:
            _log.warning(
                "assay: this user has no home folder: what can be made again is kept in %s;"
                " set ASSAY_CACHE or HOME to keep it elsewhere",
                home,
            )


def _temporary_home() -> Path:
    """A folder for this user below the temporary one, the same each time where it can be."""
    folder = Path(tempfile.gettempdir()) / f"assay-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    about = folder.lstat()
    if stat.S_ISDIR(about.st_mode) and about.st_uid == os.getuid():
        folder.chmod(0o700)
        return folder
    # Somebody else made it first.
    return Path(tempfile.mkdtemp(prefix="assay-"))
