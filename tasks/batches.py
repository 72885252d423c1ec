"""Batches, the items that the same sources give in every run, and their chunks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from ..data.source_paths import path_of
from ..data.sources.items import Item, SourceOptions
from ..data.text.redaction import redact_url


def batch_id_of(sources: Sequence[str], options: SourceOptions) -> str:
    """Return the id of the batch that sources and filters define.

    Local paths count as absolute paths, and the order of the sources does not count. Settings
    that only describe the items (labels, domains) are no part of the id.

    Args:
        sources: Sources of the run.
        options: Settings of the sources.

    Returns:
        "b-" and 16 hexadecimal digits.
    """
    canonical = {
        "sources": sorted({_absolute(source) for source in sources}),
        "include": sorted(set(options.include)),
        "exclude": sorted(set(options.exclude)),
        "image_column": options.image_column,
    }
    text = json.dumps(canonical, ensure_ascii=True, sort_keys=True)
    return f"b-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def chunks(items: Iterable[Item], *, max_items: int = 1000) -> Iterator[list[Item]]:
    """Yield consecutive lists of at most `max_items` items, taken from `items` on demand."""
    rest = iter(items)
    while part := list(islice(rest, max_items)):
        yield part


def _absolute(source: str) -> str:
    # Links are not resolved: a link with another target is still the same source.
    path = path_of(source)
    return redact_url(source) if path is None else path
