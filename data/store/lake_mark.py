"""How a lake is known among other folders: by the file that says so."""

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
    """Return the lake that a path is or lies in, links followed; None for any other path."""
    for place in dict.fromkeys((Path(path), Path(os.path.realpath(path)))):
        for folder in (place, *place.parents):
            if is_lake(str(folder)):
                return str(folder)
    return None


def require_no_lake(source: str, path: str) -> None:
    """Raise `InputError` where a source is a lake or lies in one: a run would read itself."""
    lake = lake_of(path)
    if lake is None:
        return
    what = "is an assay lake" if lake == path else f"lies in the assay lake {lake}"
    score, publish = command("score", lake=lake), command("publish", lake=lake)
    raise InputError(
        f"{source} {what}, and a lake is no source; `{score}` scores what it holds,"
        f" `{publish} --to DIR` makes a dataset that is a source"
    )
