"""How many items became what, and how the counts of parts add up to those of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..data.schema import Status
from ..data.sources.items import Item
from ..data.sources.labelling import unknown_label

# Of values that are no labels: what a source holds is not for this program to bound.
_MAX_VALUES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestCounts:
    """What became of items, by the sighting that counts: items = stored + duplicates + rejected.

    `unchanged` of them were known, and nothing was written for them; `n_bytes` were read now.
    `rejected_by` has the number of rejected items of each reason, `labels_not_taken` that of items
    whose source gives them a value that is no label, by value: at most 100 values, and those of
    all others under "".
    """

    items: int = 0
    stored: int = 0
    duplicates: int = 0
    rejected: int = 0
    unchanged: int = 0
    n_bytes: int = 0
    rejected_by: Mapping[str, int] = field(default_factory=dict, compare=False)
    labels_not_taken: Mapping[str, int] = field(default_factory=dict, compare=False)

    def __add__(self, other: IngestCounts) -> IngestCounts:
        return IngestCounts(
            items=self.items + other.items,
            stored=self.stored + other.stored,
            duplicates=self.duplicates + other.duplicates,
            rejected=self.rejected + other.rejected,
            unchanged=self.unchanged + other.unchanged,
            n_bytes=self.n_bytes + other.n_bytes,
            rejected_by=_added(self.rejected_by, other.rejected_by),
            labels_not_taken=_added(self.labels_not_taken, other.labels_not_taken),
        )


def count_item(
    item: Item, status: Status, reason: str | None, n_times: int, *, is_new: bool
) -> IngestCounts:
    """Return the counts of one item.

    Args:
        item: The item.
        status: Status of its sighting that counts.
        reason: Reason of a rejection.
        n_times: How often it is listed.
        is_new: Whether a sighting was written for it now.
    """
    value = unknown_label(item.note)
    return IngestCounts(
        items=n_times,
        stored=n_times if status is Status.STORED else 0,
        duplicates=n_times if status is Status.DUPLICATE else 0,
        rejected=n_times if status is Status.REJECTED else 0,
        unchanged=0 if is_new else n_times,
        rejected_by={reason: n_times} if status is Status.REJECTED and reason else {},
        labels_not_taken={value: n_times} if value else {},
    )


def _added(some: Mapping[str, int], more: Mapping[str, int]) -> Mapping[str, int]:
    if not some or not more:
        return some or more
    counts = Counter(some) + Counter(more)
    rest = counts.pop("", 0) + sum(n for _, n in counts.most_common()[_MAX_VALUES:])
    return dict(counts.most_common(_MAX_VALUES)) | ({"": rest} if rest else {})
