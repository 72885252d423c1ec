"""Counts of items by outcome, and their sums over the chunks of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..data.sources.items import Item
from ..data.sources.labelling import unknown_label
from ..data.vocabulary import Status

# Different values per count: a source may hold any number of texts that are no labels.
_MAX_VALUES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestCounts:
    """Counts of items by the status of their current sighting.

    `items` = `stored` + `duplicates` + `rejected`.

    Attributes:
        items: Number of items, repeated ones counted each time.
        stored: Items whose image was stored under this address.
        duplicates: Items with the same bytes as a stored image.
        rejected: Items without an image.
        unchanged: Items already in the lake, for which nothing was written.
        n_bytes: Bytes read in this run.
        rejected_by_reason: Number of rejected items per `Reason`.
        labels_not_taken: Number of items per value that is given as a label and is none; at most
            100 values, all others together under "".
    """

    items: int = 0
    stored: int = 0
    duplicates: int = 0
    rejected: int = 0
    unchanged: int = 0
    n_bytes: int = 0
    rejected_by_reason: Mapping[str, int] = field(default_factory=dict, compare=False)
    labels_not_taken: Mapping[str, int] = field(default_factory=dict, compare=False)

    def __add__(self, other: IngestCounts) -> IngestCounts:
        return IngestCounts(
            items=self.items + other.items,
            stored=self.stored + other.stored,
            duplicates=self.duplicates + other.duplicates,
            rejected=self.rejected + other.rejected,
            unchanged=self.unchanged + other.unchanged,
            n_bytes=self.n_bytes + other.n_bytes,
            rejected_by_reason=_added(self.rejected_by_reason, other.rejected_by_reason),
            labels_not_taken=_added(self.labels_not_taken, other.labels_not_taken),
        )


def count_item(
    item: Item, status: Status, reason: str | None, n_times: int, *, is_new: bool
) -> IngestCounts:
    """Return the counts of one item.

    Args:
        item: Item to count.
        status: Status of its current sighting.
        reason: Reason of a rejection, else None.
        n_times: Number of times that the source lists the item.
        is_new: Whether a sighting was written for it in this run.
    """
    value = unknown_label(item.note)
    return IngestCounts(
        items=n_times,
        stored=n_times if status is Status.STORED else 0,
        duplicates=n_times if status is Status.DUPLICATE else 0,
        rejected=n_times if status is Status.REJECTED else 0,
        unchanged=0 if is_new else n_times,
        rejected_by_reason={reason: n_times} if status is Status.REJECTED and reason else {},
        labels_not_taken={value: n_times} if value else {},
    )


def _added(some: Mapping[str, int], more: Mapping[str, int]) -> Mapping[str, int]:
    if not some or not more:
        return some or more
    counts = Counter(some) + Counter(more)
    rest = counts.pop("", 0) + sum(n for _, n in counts.most_common()[_MAX_VALUES:])
    return dict(counts.most_common(_MAX_VALUES)) | ({"": rest} if rest else {})
