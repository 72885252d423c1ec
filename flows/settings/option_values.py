"""Stricter conversion of option values than that of cyclopts."""

from __future__ import annotations

from collections.abc import Sequence

from cyclopts import Token


def whole_number(_kind: object, tokens: Sequence[Token]) -> int:
    """Return the integer of an option.

    Raises:
        ValueError: The text is not an integer; cyclopts would round 1.5 to 2.
    """
    return int(tokens[0].value)
