"""What a URL gave, in words that do not need the HTTP library."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ...errors import UnreadableImage

# Of a server that gives none: the URL stands for its content.
NO_MARK: Final = "no-mark"


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a URL gave.

    Attributes:
        raw: The body; None where it is what it was when the server gave `mark`.
        mark: The server's own mark of the content: its ETag, or date and length.
    """

    raw: bytes | None
    mark: str


class UnansweredError(UnreadableImage):
    """The server could not be reached, or did not answer in time."""


class GoneError(UnreadableImage):
    """The server says that there is nothing at the URL, any more or at all."""
