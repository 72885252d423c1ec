"""Which items need not be read again, and which need no new sighting."""

from __future__ import annotations

import re

from ..data.errors import shorten
from ..data.images.inspect_image import ImageLimits
from ..data.schema import Reason, Status
from ..data.sources.items import Item
from .outcome import Outcome, Sighting, note_of

# Rejections that may be otherwise next time although the item's fingerprint is not: the
# network is back, a permission was given, a flag was set.
_MAY_PASS = {
    Reason.BAD_ROW,
    Reason.BYTES_LOST,
    Reason.FETCH_FAILED,
    Reason.NOT_FOUND,
    Reason.NOT_MADE,
    Reason.NOT_PERMITTED,
    Reason.OUT_OF_MEMORY,
    Reason.UNSAFE_PATH,
    Reason.UNSAFE_URL,
}


def is_settled(before: Sighting, limits: ImageLimits) -> bool:
    """Return whether reading the item again could not tell anything new, unless it has changed."""
    allowed = {
        Reason.TOO_MANY_BYTES.value: limits.max_bytes,
        Reason.TOO_MANY_PIXELS.value: limits.max_pixels,
    }.get(before.reason or "")
    if allowed is not None:
        # The detail tells the limit of that day; where it does not, it is judged again.
        return re.search(rf"allowed: {allowed}\b", before.detail or "") is not None
    return before.reason not in _MAY_PASS


def without_reading(item: Item, before: Sighting | None) -> Outcome:
    """Return what is known of an item that has a problem or was seen before."""
    if item.problem is not None:
        reason, detail = item.problem
        return Outcome(item=item, reason=reason.value, detail=shorten(detail))
    if before is None:
        raise ValueError(f"{item.source_uri} was never seen and must be read")
    if before.image_id is not None:
        return Outcome(item=item, image_id=before.image_id)
    return Outcome(item=item, reason=before.reason, detail=before.detail)


def is_unchanged(item: Item, outcome: Outcome, before: Sighting) -> bool:
    """Return whether the sighting that counts says already what a new one would say."""
    rejection = before.reason if before.status is Status.REJECTED else None
    return (
        before.is_own
        and before.fingerprint == outcome.fingerprint
        and (before.image_id, rejection) == (outcome.image_id, outcome.reason)
        # An item that names no label or domain takes none back.
        and item.label in {None, before.label}
        and item.domain in {None, before.domain}
        and (rejection is not None or note_of(item) in {None, before.detail})
        # Why a picture was not made this time is what people look for to mend it.
        and (rejection != Reason.NOT_MADE or before.detail == outcome.detail)
    )
