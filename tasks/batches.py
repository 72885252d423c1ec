"""Batches: the items that the same sources give, run after run, and their chunks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from ..data.source_paths import path_of
from ..data.sources.items import Item, SourceOptions
from ..data.text.redaction import redact_url


def batch_id_of(sources: Sequence[str], options: SourceOptions) -> str:
    """Return the batch of a standing input: the same sources and filters always give the same id.

    Local paths are made absolute, so the folder one stands in does not matter; neither does
    the order of the sources. What only describes the items (labels, domains) is left out.

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
    """Yield consecutive lists of at most `max_items` items; takes from `items` only as it goes."""
    rest = iter(items)
    while part := list(islice(rest, max_items)):
        yield part


def _absolute(source: str) -> str:
    # Not resolved: a link that is pointed elsewhere is still the same standing input.
    path = path_of(source)
    return redact_url(source) if path is None else path
