"""Detection of lakes among other folders, by their marker file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from ..commands import command
from ..errors import InputError

MARKER: Final = "assay-lake.json"


def is_lake(folder: str) -> bool:
    """Return whether a folder is a lake."""
    return os.path.isfile(os.path.join(folder, MARKER))  # noqa: PTH113, PTH118


def lake_of(path: str) -> str | None:
    """Return the lake that a path or its real path is or lies in; None for any other path."""
    for place in dict.fromkeys((Path(path), Path(os.path.realpath(path)))):
        for folder in (place, *place.parents):
            if is_lake(str(folder)):
                return str(folder)
    return None


def require_no_lake(source: str, path: str) -> None:
    """Refuse a source that is a lake or lies in one, since a run would read its own output.

    Args:
        source: Source as given by the user, for the message.
        path: Absolute path to check.

    Raises:
        InputError: The path is a lake or lies in one.
    """
    lake = lake_of(path)
    if lake is None:
        return
    what = "is an assay lake" if lake == path else f"lies in the assay lake {lake}"
    score, publish = command("score", lake=lake), command("publish", lake=lake)
    raise InputError(
        f"{source} {what}, and a lake is not a source; `{score}` scores its images,"
        f" `{publish} --to DIR` writes a dataset, which is a source"
    )
