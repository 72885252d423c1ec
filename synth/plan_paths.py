"""Paths in a plan: read against the folder of the plan file."""

from __future__ import annotations

from pathlib import Path


def plan_path(folder: Path, name: str) -> Path:
    """Return where a path of a plan leads.

    Args:
        folder: Folder of the plan file.
        name: Path as the plan has it, relative or absolute.

    Returns:
        The path against the plan's folder. Where nothing is there, the path as it stands, which
        is one against the working folder: earlier versions read masks, adapters and generators so.
    """
    beside = folder / name
    return beside if is_there(beside) else Path(name)


def is_in_working_folder(folder: Path, name: str) -> bool:
    """Return whether a path of a plan leads to something in the working folder alone."""
    return not is_there(folder / name) and is_there(Path(name))


def is_folder(path: Path) -> bool:
    """Return whether a folder is there; a name too long for one is none."""
    return is_there(path) and path.is_dir()


def is_file(path: Path) -> bool:
    """Return whether a file is there; a name too long for one is none."""
    return is_there(path) and path.is_file()


def is_there(path: Path) -> bool:
    """Return whether a file or folder is there; a name too long for one is none."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False
