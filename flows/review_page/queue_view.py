"""The queue view: one image at a time, answered by keys.

The page is a frame; its script fetches items ahead, each as a piece of HTML, so that the next image
is there when a key is pressed. Items are leased to the reviewer until they are answered, released
or too old.
"""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from ...data.vocabulary import DecisionReason, ReviewReason
from ...tasks.pages.captions import SIGNS
from ...tasks.review.queue import QueueItem, next_items
from .desk import desk_of, render, reviewer_of
from .image_facts import about_image, name_of, near_copies
from .image_routes import ImageId
from .labels import LABELS
from .tickets import ticket_of

MAX_AHEAD: Final = 16
# A page that is used renews its leases; one that was closed blocks its images for so long.
LEASE_S: Final = 180.0

Reviewer = Annotated[str, Depends(reviewer_of)]

router = APIRouter(prefix="/queue")


class Images(BaseModel):
    """Ids of images that a page holds."""

    model_config = ConfigDict(extra="forbid")

    image_ids: Annotated[list[str], Field(max_length=100)]


class Kept(BaseModel):
    """Ids of the images that the reviewer still has."""

    kept: list[str]


@router.get("")
def queue_page(request: Request, *, second: bool = False) -> Response:
    """Show the frame of the queue; with `?second=true`, that of second opinions."""
    return render(
        request,
        "queue.html.jinja",
        labels=LABELS,
        reasons=list(ReviewReason),
        lease_s=LEASE_S,
        lake=desk_of(request).lake.uri,
        second=second,
    )


@router.post("/items")
def queue_items(
    request: Request,
    reviewer: Reviewer,
    n: Annotated[int, Query(ge=1, le=MAX_AHEAD)] = 4,
    *,
    resume: bool = False,
    second: bool = False,
) -> Response:
    """Return the next images as pieces of HTML, in order, leased to the reviewer.

    Args:
        request: Request that is answered.
        reviewer: Name of the reviewer.
        n: Number of images.
        resume: Whether images that the reviewer has already come first, as on a page loaded again.
        second: Whether to return images that other reviewers have answered.
    """
    desk = desk_of(request)
    items = next_items(
        desk.lake,
        desk.journal,
        reviewer=reviewer,
        n=n,
        lease_s=LEASE_S,
        resume=resume,
        second_opinion=second,
    )
    shown = [
        {
            "item": item,
            "name": name_of(item.source_uri),
            "sign": SIGNS.get(item.decision or ""),
            "reasons": _in_words(item),
            "ticket": ticket_of(desk, reviewer, item.image_id, item.kind),
        }
        for item in items
    ]
    return render(request, "queue_items.html.jinja", items=shown)


@router.post("/lease")
def lease(request: Request, given: Images, reviewer: Reviewer) -> Kept:
    """Take leases again of images that come back by undo, except those of other reviewers."""
    leases = desk_of(request).journal.leases
    leases.lease(given.image_ids, reviewer, seconds=LEASE_S)
    return Kept(kept=leases.renew(given.image_ids, reviewer, seconds=LEASE_S))


@router.post("/renew")
def renew(request: Request, given: Images, reviewer: Reviewer) -> Kept:
    """Extend the leases of images that are still before the reviewer."""
    return Kept(
        kept=desk_of(request).journal.leases.renew(given.image_ids, reviewer, seconds=LEASE_S)
    )


@router.get("/about/{image_id}")
def about(request: Request, image_id: ImageId, reviewer: Reviewer) -> Response:
    """Show provenance and history of an image."""
    found = about_image(desk_of(request).lake, image_id, reviewer)
    return render(request, "about_image.html.jinja", about=found, signs=SIGNS)


@router.get("/copies/{image_id}")
def copies(request: Request, image_id: ImageId) -> Response:
    """Show the near copies of an image with their labels."""
    found = near_copies(desk_of(request).lake, image_id)
    return render(request, "near_copies.html.jinja", copies=found, signs=SIGNS, name_of=name_of)


def _in_words(item: QueueItem) -> list[str]:
    return [DecisionReason.text_of(reason) for reason in item.reasons]
