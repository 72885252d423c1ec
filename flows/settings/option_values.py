"""Values of the command's options that cyclopts would take too kindly."""

from __future__ import annotations

from collections.abc import Sequence

from cyclopts import Token


def whole_number(_kind: object, tokens: Sequence[Token]) -> int:
    """Return the whole number of an option; 1.5 is none, rather than 2."""
    return int(tokens[0].value)
