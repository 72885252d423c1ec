"""Feeds of the review widget: the next images, each before one reviewer at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Protocol

from ....data.store.lake import Lake
from ....tasks.browse.images import Scope
from ....tasks.review.journal import Journal
from ....tasks.review.queue import next_items
from .items import Item, items_of


class Feed(Protocol):
    """A source of images to review."""

    def take(self, n: int) -> list[Item]:
        """Return at most `n` next items, leased to the reviewer; none at the end."""

    def left(self) -> int | None:
        """Return the number of images that were not taken yet; None if unknown."""


class ListFeed:
    """Feed of given images, in their order.

    Images that another reviewer has before them are put off to the end.

    Args:
        lake: Lake of the images.
        journal: Journal of the lake, with the leases.
        reviewer: Name of the reviewer.
        image_ids: Ids of the images.
        scope: Key and policy of the scores and decisions to show.
    """

    def __init__(
        self,
        lake: Lake,
        journal: Journal,
        *,
        reviewer: str,
        image_ids: Sequence[str],
        scope: Scope | None,
    ) -> None:
        self._lake = lake
        self._leases = journal.leases
        self._reviewer = reviewer
        self._waiting = deque(image_ids)
        self._scope = scope

    def take(self, n: int) -> list[Item]:
        """Return at most `n` next items, leased to the reviewer; none at the end."""
        granted: list[str] = []
        held: list[str] = []
        while self._waiting and len(granted) < n:
            n_asked = min(n - len(granted), len(self._waiting))
            asked = [self._waiting.popleft() for _ in range(n_asked)]
            # After a restart the reviewer's leases are there still.
            own = set(self._leases.renew(asked, self._reviewer))
            new = set(self._leases.lease([one for one in asked if one not in own], self._reviewer))
            granted += [one for one in asked if one in own | new]
            held += [one for one in asked if one not in own | new]
        self._waiting.extend(held)
        return items_of(self._lake, granted, self._scope)

    def left(self) -> int:
        """Return the number of images that were not taken yet."""
        return len(self._waiting)


class QueueFeed:
    """Feed of the lake's queue: the images most worth a look, as for every other reviewer.

    Args:
        lake: Lake of the images.
        journal: Journal of the lake, with the leases.
        reviewer: Name of the reviewer.
        second_opinion: Whether to show images too that another reviewer has answered.
    """

    def __init__(
        self, lake: Lake, journal: Journal, *, reviewer: str, second_opinion: bool
    ) -> None:
        self._lake = lake
        self._journal = journal
        self._reviewer = reviewer
        self._second_opinion = second_opinion
        self._is_first = True

    def take(self, n: int) -> list[Item]:
        """Return at most `n` next items, leased to the reviewer; none at the end."""
        found = next_items(
            self._lake,
            self._journal,
            reviewer=self._reviewer,
            n=n,
            second_opinion=self._second_opinion,
            # After a restart the reviewer's leases are there still.
            resume=self._is_first,
        )
        self._is_first = False
        return [
            Item(
                image_id=item.image_id,
                kind=item.kind,
                prob_fake=item.prob_fake,
                decision=item.decision,
                reasons=item.reasons,
                source_uri=item.source_uri,
                run_id=item.run_id,
            )
            for item in found
        ]

    def left(self) -> None:
        """Return None: the queue changes while it is worked on."""
