"""Items already in the lake: which need not be read again, and which need no new sighting."""

from __future__ import annotations

import re

from ..data.errors import shorten
from ..data.images.inspect_image import ImageLimits
from ..data.sources.items import Item
from ..data.vocabulary import Reason, Status
from .outcome import Outcome, Sighting, note_of

# Rejections that may end although the item's fingerprint is the same: the network is back, a
# permission was granted, an option was set.
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
    """Return whether an unchanged item would have the same outcome if it were read again.

    Args:
        before: Current sighting of the item.
        limits: Limits on images in this run.
    """
    allowed = {
        Reason.TOO_MANY_BYTES.value: limits.max_bytes,
        Reason.TOO_MANY_PIXELS.value: limits.max_pixels,
    }.get(before.reason or "")
    if allowed is not None:
        # The detail names the limit at that time. Without it, the item is read again.
        return re.search(rf"allowed: {allowed}\b", before.detail or "") is not None
    return before.reason not in _MAY_PASS


def without_reading(item: Item, before: Sighting | None) -> Outcome:
    """Return the outcome of an item that has a problem or an earlier sighting.

    Args:
        item: Item to account for.
        before: Current sighting of the item, if it has one.

    Raises:
        ValueError: The item has neither and must be read.
    """
    if item.problem is not None:
        reason, detail = item.problem
        return Outcome(item=item, reason=reason.value, detail=shorten(detail))
    if before is None:
        raise ValueError(f"{item.source_uri} has no sighting and must be read")
    if before.image_id is not None:
        return Outcome(item=item, image_id=before.image_id)
    return Outcome(item=item, reason=before.reason, detail=before.detail)


def is_unchanged(item: Item, outcome: Outcome, before: Sighting) -> bool:
    """Return whether the current sighting of an item equals the one that would be written.

    Args:
        item: Item as the source lists it.
        outcome: Outcome of the item in this run.
        before: Current sighting of the item.
    """
    rejection = before.reason if before.status is Status.REJECTED else None
    return (
        before.is_own
        and before.fingerprint == outcome.fingerprint
        and (before.image_id, rejection) == (outcome.image_id, outcome.reason)
        # An item without a label or domain does not withdraw an earlier one.
        and item.label in {None, before.label}
        and item.domain in {None, before.domain}
        and (rejection is not None or note_of(item) in {None, before.detail})
        # The latest cause of a failure to make an image is needed to correct the plan.
        and (rejection != Reason.NOT_MADE or before.detail == outcome.detail)
    )
