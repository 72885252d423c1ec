"""What became of an item: now, and when it was last accounted for."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from ..data.errors import UnreadableImage, shorten
from ..data.images.inspect_image import ImageFacts
from ..data.schema import Reason, Status
from ..data.sources.cells import UrlAddress
from ..data.sources.items import Item

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """How an item of the same address and fingerprint was last accounted for.

    `is_own`: in the batch being ingested, so that it is the sighting that counts there;
    else in another one, and what was found there holds here too.
    `fingerprint`: The item's, with the server's mark behind it where a server must be asked.
    """

    source_uri: str
    fingerprint: str
    status: Status
    reason: str | None
    detail: str | None
    image_id: str | None
    domain: str | None
    label: str | None
    is_own: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What was found out about an item: the image it is, or why it is none.

    `facts` and `raw` are there when it was read now (`raw` alone, while it is to be inspected);
    `image_id` alone when it is carried over from an earlier sighting. `n_bytes` were read, also
    of an item then rejected. `mark` is a server's own mark of the content.
    """

    item: Item
    image_id: str | None = None
    facts: ImageFacts | None = None
    raw: bytes | None = None
    n_bytes: int = 0
    reason: str | None = None
    detail: str | None = None
    mark: str = ""

    @property
    def fingerprint(self) -> str:
        """The text by which a later run sees whether the item has changed."""
        return f"{self.item.fingerprint} {self.mark}".rstrip()


def asks_again(item: Item) -> bool:
    """Return whether only a server can tell if a known item has changed."""
    return isinstance(item.address, UrlAddress) and item.address.asks_again


def mark_in(before: Sighting, item: Item) -> str:
    """Return the server's mark of what was seen; "" where none was kept."""
    return before.fingerprint.removeprefix(item.fingerprint).strip()


def note_of(item: Item) -> str | None:
    """Return what the source says of an item that could not be taken, as a detail."""
    return shorten(item.note) if item.note else None


def rejected(item: Item, error: Exception, *, n_bytes: int = 0, mark: str = "") -> Outcome:
    """Return the outcome of an item whose bytes could not be read, or are no image.

    Args:
        item: The item.
        error: Whatever was raised. What no damaged file should raise goes to the log as well.
        n_bytes: Number of bytes that were read.
        mark: The server's mark of them.
    """
    if isinstance(error, UnreadableImage):
        reason, detail = error.reason, error.detail
    elif isinstance(error, MemoryError):
        reason, detail = Reason.OUT_OF_MEMORY, "no memory left to decode it"
    else:
        _log.error("unexpected error at %s", item.source_uri, exc_info=error)
        reason, detail = Reason.UNREADABLE, shorten(f"{type(error).__name__}: {error}")
    return Outcome(item=item, n_bytes=n_bytes, reason=reason.value, detail=detail, mark=mark)
