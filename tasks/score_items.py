"""Scores of items without a lake: each is read, decoded and scored once, and nothing is kept."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from ..data.errors import UnreadableImage
from ..data.sources.items import Item, SourceOptions
from ..data.vocabulary import Reason
from .detector.inputs.preprocess import preprocess
from .detector.streaming import Forwarded, Pixels, forward_stream
from .outcome import Outcome
from .reading import Reader
from .work.ordered_map import ordered_map
from .work.workers import workers

if TYPE_CHECKING:
    from .detector.detector import Detector

# Threads that wait for disks and servers; they use hardly any CPU.
_N_READERS: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredItem:
    """Score of one item, or the reason for having none.

    Attributes:
        source_uri: Address of the item.
        image_id: SHA-256 of the encoded bytes, 64 hex digits; None if they cannot be read.
        logit: Finite logit, positive for AI-generated; None without a score.
        embedding: Embedding (D,), of length 0 for a detector without embeddings; None without a
            score.
        reason: `Reason` for having no score; None with one.
        detail: Detail of the reason.
    """

    source_uri: str
    image_id: str | None = None
    logit: float | None = None
    embedding: NDArray[np.float32] | None = None
    reason: str | None = None
    detail: str | None = None


def score_items(
    detector: Detector,
    items: Iterable[Item],
    options: SourceOptions,
    *,
    n_workers: int | None = None,
) -> Iterator[ScoredItem]:
    """Yield one result per item, in the order of the items.

    Items are drawn as they are read, a few per thread ahead. Scores are those of a run over the
    same bytes.

    Args:
        detector: Detector that scores.
        items: Items to read.
        options: Settings of reading, with the limits on images.
        n_workers: Number of threads; default: one per core. Scores do not depend on it.

    Raises:
        Exception: Any error of `items`. An item that cannot be read or decoded raises none.
    """
    reader = Reader(options, {})
    profile, limits = detector.profile, options.limits

    def prepare(read: Outcome) -> tuple[ScoredItem, Pixels | None]:
        done = ScoredItem(source_uri=read.item.source_uri, reason=read.reason, detail=read.detail)
        if read.raw is None:
            return done, None
        done = replace(done, image_id=hashlib.sha256(read.raw).hexdigest())
        try:
            return done, preprocess(read.raw, profile, limits)
        except UnreadableImage as error:
            return replace(done, reason=error.reason.value, detail=error.detail), None
        except MemoryError:
            reason = Reason.OUT_OF_MEMORY
            return replace(done, reason=reason.value, detail="not enough memory to decode it"), None

    with (
        workers(_N_READERS, "assay-read") as readers,
        closing(
            ordered_map(
                readers,
                reader.read,
                items,
                n_ahead=2 * _N_READERS,
                weigh=lambda read: len(read.raw or b""),
            )
        ) as reads,
    ):
        for part in forward_stream(detector, reads, prepare, n_workers=n_workers):
            yield from (_scored(done, forwarded) for done, forwarded in part)


def _scored(done: ScoredItem, forwarded: Forwarded) -> ScoredItem:
    if forwarded is None:
        return done
    if isinstance(forwarded, Reason):
        return replace(done, reason=forwarded.value)
    logit, embedding = forwarded
    return replace(done, logit=logit, embedding=embedding)
