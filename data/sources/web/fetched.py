"""Result and errors of a fetch, without an import of the HTTP library."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ...errors import UnreadableImage

# Mark for a server that sends neither ETag nor date: content is identified by URL alone.
NO_MARK: Final = "no-mark"


@dataclass(frozen=True, slots=True)
class Fetched:
    """Result of a fetch.

    Attributes:
        raw: Body of the response; None if the content is unchanged since `mark` was recorded.
        mark: Server's mark of the content: ETag, or date and length.
    """

    raw: bytes | None
    mark: str


class UnansweredError(UnreadableImage):
    """The server could not be reached or did not answer in time."""


class GoneError(UnreadableImage):
    """The server reports that nothing exists at the URL (404 or 410)."""
