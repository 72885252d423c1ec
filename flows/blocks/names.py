"""Names of lakes that are blocks of a Prefect server, `block:NAME`."""

from __future__ import annotations

import importlib
from typing import Final

from ...data.lake_names import NAMED

PREFIX: Final = "block:"


def is_block(text: str) -> bool:
    """Return whether a lake is given as a block."""
    return text.startswith(PREFIX)


def address_of(lake: str) -> str:
    """Return the address of a lake given as a block; see `lake_address.address_of`."""
    # Imported by its name: a plain run needs nothing of Prefect unless its lake is a block.
    found = importlib.import_module(f"{__package__}.lake_address")
    return str(found.address_of(lake))


def allow_blocks() -> None:
    """Let lakes be named by blocks in this process."""
    NAMED[PREFIX] = address_of
