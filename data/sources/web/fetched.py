"""Result and errors of a fetch from a web server or an object store, without their libraries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

from ...errors import UnreadableImage
from ..items import SourceOptions

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


@runtime_checkable
class ServedAddress(Protocol):
    """Address of an item whose server tells whether it has changed."""

    asks_again: bool
    """Whether the server must be asked, since the item's fingerprint does not show a change."""

    @property
    def server(self) -> str:
        """Name of the server."""

    def read_if_changed(self, options: SourceOptions, mark: str) -> Fetched:
        """Return the bytes, unless they are unchanged since the mark was recorded."""


class UnansweredError(UnreadableImage):
    """The server could not be reached or did not answer in time."""


class GoneError(UnreadableImage):
    """The server reports that nothing exists at the URL (404 or 410)."""
