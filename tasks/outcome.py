"""Outcomes of items: in this run, and at their earlier sightings."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from ..data.errors import UnreadableImage, shorten
from ..data.images.inspect_image import ImageFacts
from ..data.sources.items import Item
from ..data.sources.web.fetched import ServedAddress
from ..data.vocabulary import Reason, Status

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """The latest sighting of an item with the same address and fingerprint.

    Attributes:
        source_uri: Address of the item.
        fingerprint: Fingerprint of the item, followed by the server's mark if it has one.
        status: Status of the item.
        reason: `Reason` of a rejection or duplicate, else None.
        detail: Detail of the reason, or the source's note.
        image_id: Id of the image; None for a rejected item.
        domain: Domain that the source gave.
        label: Label that the source gave.
        is_own: Whether the sighting belongs to the batch being ingested. A sighting in another
            batch says what the item is, but is not its sighting in this batch.
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
    """The outcome of an item: its image, or the reason for having none.

    Attributes:
        item: Item that the outcome is about.
        image_id: Id of the image; alone if it was taken over from an earlier sighting.
        facts: Facts of an image read in this run.
        raw: Bytes read in this run.
        n_bytes: Number of bytes read, also for a rejected item.
        reason: `Reason` of a rejection.
        detail: Detail of the reason.
        mark: Mark of the content that its server gave, such as an ETag.
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
        """The fingerprint to record, by which a later run recognizes a change."""
        return f"{self.item.fingerprint} {self.mark}".rstrip()


def asks_again(item: Item) -> bool:
    """Return whether a server must be asked if an item has changed."""
    address = item.address
    # The protocol's own check takes longer than all else that is asked of a known item.
    return getattr(address, "asks_again", False) and isinstance(address, ServedAddress)


def mark_in(before: Sighting, item: Item) -> str:
    """Return the server's mark in an earlier sighting; "" if it has none."""
    return before.fingerprint.removeprefix(item.fingerprint).strip()


def note_of(item: Item) -> str | None:
    """Return the source's note on an item as a detail; None without a note."""
    return shorten(item.note) if item.note else None


def refused(outcome: Outcome) -> Outcome:
    """Return the outcome of an item whose image was forgotten: rejected, without its bytes."""
    return Outcome(
        item=outcome.item,
        n_bytes=outcome.n_bytes,
        reason=Reason.FORGOTTEN.value,
        detail=f"image {outcome.image_id} was forgotten, so it is not stored again",
        mark=outcome.mark,
    )


def rejected(item: Item, error: Exception, *, n_bytes: int = 0, mark: str = "") -> Outcome:
    """Return the outcome of an item whose bytes cannot be read or are no image.

    Args:
        item: Item that is rejected.
        error: Error that was raised; one that no damaged file should raise is logged too.
        n_bytes: Number of bytes read.
        mark: Mark of the bytes that their server gave.
    """
    if isinstance(error, UnreadableImage):
        reason, detail = error.reason, error.detail
    elif isinstance(error, MemoryError):
        reason, detail = Reason.OUT_OF_MEMORY, "not enough memory to decode it"
    else:
        _log.error("unexpected error at %s", item.source_uri, exc_info=error)
        reason, detail = Reason.UNREADABLE, shorten(f"{type(error).__name__}: {error}")
    return Outcome(item=item, n_bytes=n_bytes, reason=reason.value, detail=detail, mark=mark)
