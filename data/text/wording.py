"""Values, numbers and names in messages: shortened, with their nouns, with suggestions."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable

_MAX_CHARS = 80


class _Short(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = self.maxlong = _MAX_CHARS
        self.maxlevel = 3

    def repr_int(self, x: int, _level: int) -> str:
        # Python refuses to convert numbers of more than 4,300 digits to text.
        return repr(x) if x.bit_length() < 256 else f"a number of {x.bit_length():,} bits"


def shown(value: object) -> str:
    """Return the repr of a value, shortened to one line; safe for values of any depth and size."""
    return _Short().repr(value)


def did_you_mean(name: object, allowed: Iterable[str]) -> str:
    """Return `; did you mean NAME?` with the allowed name nearest to a misspelt one, else ""."""
    if not isinstance(name, str):
        return ""
    known = {word.lower(): word for word in allowed}
    near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.7)
    return f"; did you mean {known[near[0]]}?" if near else ""


def counted(n: int, noun: str, plural: str | None = None) -> str:
    """Return a number with its noun, such as `1 image` or `2,000 images`.

    Args:
        n: Number.
        noun: Noun in the singular.
        plural: Noun in the plural; default: with an s.
    """
    return f"{n:,} {noun if n == 1 else plural or f'{noun}s'}"
