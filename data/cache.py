"""The folders of this user: the cache, and the home of data that cannot be made again."""

from __future__ import annotations

import logging
import os
import stat
import tempfile
from pathlib import Path

from .user_paths import from_home

_log = logging.getLogger(__name__)


def cache_folder(*parts: str) -> Path:
    """Return a path below `ASSAY_CACHE`, else below `assay` in the user's cache; not created."""
    ensure_home()
    stated = os.environ.get("ASSAY_CACHE")
    if stated:
        return from_home(stated).joinpath(*parts)
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return from_home(home).joinpath("assay", *parts)


def home_folder(*parts: str) -> Path:
    """Return a path below `ASSAY_HOME`, else below `assay` in the user's data; not created."""
    ensure_home()
    stated = os.environ.get("ASSAY_HOME")
    if stated:
        return from_home(stated).joinpath(*parts)
    home = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return from_home(home).joinpath("assay", *parts)


def ensure_home() -> None:
    """Set `HOME` to a temporary folder for a user without a home folder, with one warning.

    In containers a process often runs under a user id that the user database lacks, without
    `HOME`. Prefect, the hub's cache and PyTorch look for a home folder on import, so it is set for
    the whole process. If `ASSAY_CACHE` is set, that folder is used, without a warning.
    """
    try:
        Path.home()
    except RuntimeError:
        stated = os.environ.get("ASSAY_CACHE")
        home = Path(stated).absolute() if stated else _temporary_home()
        os.environ["HOME"] = str(home)
        # PyTorch otherwise looks up the user's name in the user database, and fails.
        os.environ.setdefault("USER", home.name)
        if not stated:
            _log.warning(
                "assay: this user has no home folder; the cache is in %s;"
                " set ASSAY_CACHE or HOME to use another folder",
                home,
            )


def _temporary_home() -> Path:
    """Return this user's folder below the temporary folder; the same one in every process."""
    folder = Path(tempfile.gettempdir()) / f"assay-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    about = folder.lstat()
    if stat.S_ISDIR(about.st_mode) and about.st_uid == os.getuid():
        folder.chmod(0o700)
        return folder
    # Another user owns the path.
    return Path(tempfile.mkdtemp(prefix="assay-"))
