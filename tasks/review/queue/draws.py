"""Images that are mixed into the queue unseen: golden items, and draws of others.

A draw names images and their share. Whether a reviewer's next image is of a draw depends on the
seed, the reviewer and the number of images that were served, so that nobody can tell them apart by
their place.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from ....data.errors import ConfigError
from ....data.store.lake import Lake
from ....data.vocabulary import ReviewKind
from ..golden import golden_items

MAX_DRAWN: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """Images that are mixed into the queue.

    Attributes:
        kind: Occasion of their answers, a word of `ReviewKind` such as `golden` or `audit`.
        share: Share of the images that a reviewer is given, in [0, 1].
        image_ids: Ids of the images.
        is_for_each: Whether each reviewer is to answer every image; otherwise one answer of
            anybody is enough.
    """

    kind: str
    share: float
    image_ids: Sequence[str]
    is_for_each: bool = False

    def __post_init__(self) -> None:
        """Check the share."""
        if not 0 <= self.share <= 1:
            raise ConfigError(f"a share of {self.share} is not allowed; allowed: 0 to 1")


Drawing: TypeAlias = Callable[[Lake], Iterable[Draw]]
"""Function that returns the draws of a lake; it is called whenever the queue is ranked."""


def golden_draw(lake: Lake, share: float) -> Draw:
    """Return the draw of golden items, which each reviewer is to answer once.

    Args:
        lake: Lake of the golden items.
        share: Share of the images that a reviewer is given, in [0, 1].

    Raises:
        StoreError: The table cannot be read.
    """
    return Draw(
        kind=ReviewKind.GOLDEN.value,
        share=share,
        image_ids=golden_items(lake)["image_id"].to_list(),
        is_for_each=True,
    )


def drawn_at(draws: Sequence[Draw], *, reviewer: str, place: int, seed: int) -> int | None:
    """Return the number of the draw whose turn it is; None for the queue itself.

    Args:
        draws: Draws with shares of at most 1 together; what exceeds 1 is never reached.
        reviewer: Name of the reviewer.
        place: Number of images that the reviewer was given before.
        seed: Seed of the queue.
    """
    at = fraction(seed, reviewer, place)
    for number, draw in enumerate(draws):
        if at < draw.share:
            return number
        at -= draw.share
    return None


def fraction(*parts: object) -> float:
    """Return a number in [0, 1) that looks random and follows from the parts."""
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return int.from_bytes(digest[:7], "big") / 2**56
