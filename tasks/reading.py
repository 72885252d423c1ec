"""Items read ahead and decoded in threads; what became of each, in their order.

A picture is decoded once. Whatever else wants its pixels comes along, see `Along`.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Protocol, TypeVar

from PIL import Image

from ..data.errors import UnreadableImage, shorten
from ..data.images.inspect_image import ImageLimits, inspect_and_use
from ..data.schema import Reason
from ..data.sources.cells import UrlAddress
from ..data.sources.find import Item, SourceOptions, read_item
from ..data.sources.web.fetched import Fetched, GoneError, UnansweredError
from .sightings import Outcome, Sighting, asks_again, mark_in
from .work.ordered_map import ordered_map
from .work.workers import workers

T = TypeVar("T")

# Threads that wait for disks and servers; they take next to no CPU.
N_READERS = 8

_NO_NEWS = frozenset({Reason.FETCH_FAILED, Reason.UNSAFE_URL})
_MAX_SILENT = 3

_log = logging.getLogger(__name__)


class Inspect(Protocol):
    """Says what the bytes that were read are, and calls a function of a picture while it is open.

    The function gets the image_id and the decoded picture.
    """

    def __call__(
        self, read: Outcome, use: Callable[[str, Image.Image], T]
    ) -> tuple[Outcome, T | None]:
        """What became of the item, and what the function gave; None for no picture."""
        ...


class Along(Protocol):
    """Something that is done with pictures while they are decoded for ingest."""

    def through(self, reads: Iterable[Outcome], inspect: Inspect) -> Iterator[Outcome]:
        """Inspects what was read, in whatever threads; gives what became of each, in order."""
        ...

    def stored(self, image_ids: Collection[str]) -> None:
        """These images are in the lake now: those of all outcomes given, unless it was stopped."""
        ...


def outcomes_of(
    items: Sequence[Item],
    options: SourceOptions,
    *,
    n_workers: int,
    along: Along | None,
    known: Mapping[str, Sighting] | None = None,
) -> Iterator[Outcome]:
    """What became of each item, in their order, however the threads are timed.

    Args:
        items: To read.
        options: The sources' settings, with the limits on pictures.
        n_workers: Threads that decode, where nothing comes along that has threads of its own.
        along: What else is done with each picture while it is decoded.
        known: By source_uri, how items of which a server is asked again were accounted for.
    """
    if not items:
        return
    before = known or {}
    silent: Counter[str] = Counter()

    def read(item: Item) -> Outcome:
        if asks_again(item):
            return _ask(item, options, before.get(item.source_uri), silent)
        return _read(item, options)

    def inspect(read: Outcome, use: Callable[[str, Image.Image], T]) -> tuple[Outcome, T | None]:
        return _inspect(read, options.limits, use)

    with (
        workers(N_READERS, "assay-read") as readers,
        closing(
            ordered_map(readers, read, items, n_ahead=2 * N_READERS, weigh=n_held_bytes)
        ) as reads,
    ):
        if along is not None:
            yield from along.through(reads, inspect)
            return
        n_workers = max(1, n_workers)
        with workers(n_workers, "assay-ingest") as pool:
            yield from ordered_map(
                pool,
                lambda read: inspect(read, _nothing)[0],
                reads,
                n_ahead=4 * n_workers,
                weigh=n_held_bytes,
            )


def n_held_bytes(outcome: Outcome) -> int:
    """What an outcome holds on to until it is committed."""
    return len(outcome.raw or b"")


def _nothing(_image_id: str, _image: Image.Image) -> None:
    pass


def _read(item: Item, options: SourceOptions) -> Outcome:
    """The bytes of an item, or why it has none."""
    raw = _caught(item, 0, lambda: read_item(item, options))
    return raw if isinstance(raw, Outcome) else Outcome(item=item, raw=raw, n_bytes=len(raw))


def _ask(
    item: Item, options: SourceOptions, before: Sighting | None, silent: Counter[str]
) -> Outcome:
    """The bytes at a URL; what was found before where the server says that nothing changed.

    A server that does not answer, or not with this, changes nothing that is known: only what it
    says is gone is gone. One that was silent a few times in a row (`silent` counts by server) is
    not waited for again over what is known.
    """
    address = item.address
    if not isinstance(address, UrlAddress):
        raise TypeError(f"{item.source_uri} is not at a URL")
    mark = mark_in(before, item) if before is not None else ""
    server = address.server

    def ask() -> Fetched:
        if before is not None and silent[server] >= _MAX_SILENT:
            return Fetched(None, mark)
        try:
            fetched = address.read_if_changed(options, mark)
        except UnreadableImage as error:
            silent[server] = silent[server] + 1 if isinstance(error, UnansweredError) else 0
            has_changed = isinstance(error, GoneError) or error.reason not in _NO_NEWS
            if before is None or has_changed:
                raise
            return Fetched(None, mark)
        silent[server] = 0
        return fetched

    fetched = _caught(item, 0, ask)
    if isinstance(fetched, Outcome):
        return fetched
    if fetched.raw is None and before is not None:
        is_image = before.image_id is not None
        return Outcome(
            item=item,
            image_id=before.image_id,
            reason=None if is_image else before.reason,
            detail=None if is_image else before.detail,
            mark=mark,
        )
    raw = fetched.raw or b""
    return Outcome(item=item, raw=raw, n_bytes=len(raw), mark=fetched.mark)


def _inspect(
    read: Outcome, limits: ImageLimits, use: Callable[[str, Image.Image], T]
) -> tuple[Outcome, T | None]:
    """What image the bytes are, or why they are none."""
    raw = read.raw
    if raw is None:
        return read, None
    found = _caught(read.item, read.n_bytes, lambda: inspect_and_use(raw, use, limits=limits))
    if isinstance(found, Outcome):
        return replace(found, mark=read.mark), None
    facts, made = found
    return replace(read, image_id=facts.image_id, facts=facts), made


def _caught(item: Item, n_bytes: int, work: Callable[[], T]) -> T | Outcome:
    """What the work gives, or the item's rejection with whatever it raised."""
    try:
        return work()
    except UnreadableImage as error:
        reason, detail = error.reason, error.detail
    except MemoryError:
        reason, detail = Reason.OUT_OF_MEMORY, "no memory left to decode it"
    except Exception as error:  # noqa: BLE001 - the row boundary: one picture never stops a run
        _log.exception("unexpected error at %s", item.source_uri)
        reason, detail = Reason.UNREADABLE, shorten(f"{type(error).__name__}: {error}")
    return Outcome(item=item, n_bytes=n_bytes, reason=reason.value, detail=detail)
