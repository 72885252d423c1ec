"""Tickets: why an image came up, in a form that the reviewer's browser cannot read.

A reviewer must not see which items are golden or drawn for an audit. The server keeps no list of
what it handed out, since it may be killed between question and answer. So an item carries a random
text and a keyed hash of it with its kind; the server tries each kind.
"""

from __future__ import annotations

import secrets
from hmac import compare_digest
from typing import Final

from ...data.vocabulary import ReviewKind
from .desk import Desk

_HANDED_OUT: Final = (
    ReviewKind.QUEUE,
    ReviewKind.GOLDEN,
    ReviewKind.AUDIT,
    ReviewKind.SECOND,
    ReviewKind.APPEAL,
)


def ticket_of(desk: Desk, reviewer: str, image_id: str, kind: str) -> str:
    """Return the ticket of an item.

    Args:
        desk: Desk of the server.
        reviewer: Name of the reviewer.
        image_id: Id of the image.
        kind: Occasion of the question, a word of `ReviewKind`.
    """
    salt = secrets.token_hex(8)
    return salt + desk.sessions.tag("ticket", salt, reviewer, image_id, kind)


def kind_of_ticket(desk: Desk, reviewer: str, image_id: str, ticket: str) -> ReviewKind:
    """Return the kind in a ticket; `queue` for a ticket of another key, whose answer still counts.

    Args:
        desk: Desk of the server.
        reviewer: Name of the reviewer.
        image_id: Id of the image.
        ticket: Text from `ticket_of`.
    """
    salt, tag = ticket[:16], ticket[16:].encode("utf-8", "surrogatepass")
    for kind in _HANDED_OUT:
        known = desk.sessions.tag("ticket", salt, reviewer, image_id, kind)
        if compare_digest(known.encode(), tag):
            return kind
    return ReviewKind.QUEUE
