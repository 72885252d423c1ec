"""Bytes of items, read from disks, archives and tables, and requested from servers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

from ..data.errors import UnreadableImage
from ..data.sources.find import read_item
from ..data.sources.items import Item, SourceOptions
from ..data.sources.web.fetched import Fetched, GoneError, ServedAddress, UnansweredError
from ..data.vocabulary import Reason
from .outcome import Outcome, Sighting, asks_again, mark_in, rejected

# Keys of an object store that have expired say nothing of an object.
_NO_NEWS: Final = frozenset({Reason.FETCH_FAILED, Reason.UNSAFE_URL, Reason.NOT_PERMITTED})
_MAX_SILENT: Final = 3


class Reader:
    """A thread-safe reader of items.

    A server that has not answered `_MAX_SILENT` times in a row is no longer asked about items
    that have a sighting.

    Args:
        options: Settings of the sources, with the limits on images.
        known: Earlier sightings by source_uri, for items with changes known to a server only.
    """

    def __init__(self, options: SourceOptions, known: Mapping[str, Sighting]) -> None:
        self._options = options
        self._known = known
        self._n_silent: Counter[str] = Counter()
        """Number of requests in a row without an answer, per server."""

    def read(self, item: Item) -> Outcome:
        """Return the outcome of an item, with its bytes or the reason for having none."""
        try:
            if asks_again(item):
                return self._ask(item, self._known.get(item.source_uri))
            raw = read_item(item, self._options)
        except Exception as error:  # noqa: BLE001 - the row boundary: one image never stops a run
            return rejected(item, error)
        return Outcome(item=item, raw=raw, n_bytes=len(raw))

    def _ask(self, item: Item, before: Sighting | None) -> Outcome:
        """Return the outcome of a URL; the earlier one if the server reports no change."""
        mark = mark_in(before, item) if before is not None else ""
        fetched = self._fetch(item, mark, is_known=before is not None)
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

    def _fetch(self, item: Item, mark: str, *, is_known: bool) -> Fetched:
        """Fetch an item from its server.

        Without an answer, an item with a sighting counts as unchanged; it is rejected only if the
        server reports that it is gone.
        """
        address = item.address
        if not isinstance(address, ServedAddress):
            raise TypeError(f"{item.source_uri} is not at a server")
        unchanged = Fetched(None, mark)
        if is_known and self._n_silent[address.server] >= _MAX_SILENT:
            return unchanged
        try:
            fetched = address.read_if_changed(self._options, mark)
        except UnreadableImage as error:
            is_silent = isinstance(error, UnansweredError)
            self._n_silent[address.server] = self._n_silent[address.server] + 1 if is_silent else 0
            has_changed = isinstance(error, GoneError) or error.reason not in _NO_NEWS
            if not is_known or has_changed:
                raise
            return unchanged
        self._n_silent[address.server] = 0
        return fetched
