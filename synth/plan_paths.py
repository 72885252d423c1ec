"""Paths in a plan, relative to the folder of the plan file."""

from __future__ import annotations

from pathlib import Path


def plan_path(folder: Path, name: str) -> Path:
    """Resolve a path of a plan.

    Args:
        folder: Folder of the plan file.
        name: Path in the plan, relative or absolute.

    Returns:
        Path relative to the plan's folder. If it does not exist, the path relative to the working
        folder, as earlier versions resolved masks, adapters and generators.
    """
    beside = folder / name
    return beside if is_there(beside) else Path(name)


def is_in_working_folder(folder: Path, name: str) -> bool:
    """Return whether a path of a plan exists in the working folder but not in the plan's."""
    return not is_there(folder / name) and is_there(Path(name))


def is_folder(path: Path) -> bool:
    """Return whether a folder exists; a name that is too long does not."""
    return is_there(path) and path.is_dir()


def is_file(path: Path) -> bool:
    """Return whether a file exists; a name that is too long does not."""
    return is_there(path) and path.is_file()


def is_there(path: Path) -> bool:
    """Return whether a file or folder exists; a name that is too long does not."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False
