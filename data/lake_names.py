"""Names of lakes beside their addresses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

NAMED: Final[dict[str, Callable[[str], str]]] = {}
"""Functions from the name of a lake to its address, by the beginning of such names.

`flows` adds the blocks of a Prefect server, which this layer does not know.
"""


def is_named(text: str) -> bool:
    """Return whether a lake is given by a name of `NAMED`."""
    return text.startswith(tuple(NAMED))


def address_of_name(text: str) -> str:
    """Return the address of a lake given by a name of `NAMED`; any other text unchanged."""
    resolve = next((made for start, made in NAMED.items() if text.startswith(start)), None)
    return text if resolve is None else resolve(text)
