"""The bytes of items: from disks, archives and tables, and from servers that are asked again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

from ..data.errors import UnreadableImage
from ..data.schema import Reason
from ..data.sources.cells import UrlAddress
from ..data.sources.find import read_item
from ..data.sources.items import Item, SourceOptions
from ..data.sources.web.fetched import Fetched, GoneError, UnansweredError
from .outcome import Outcome, Sighting, asks_again, mark_in, rejected

_NO_NEWS: Final = frozenset({Reason.FETCH_FAILED, Reason.UNSAFE_URL})
_MAX_SILENT: Final = 3


class Reader:
    """Reads items, in many threads at once.

    A server that was silent a few times in a row is not waited for again over what is known.

    Args:
        options: The sources' settings, with the limits on images.
        known: By source_uri, how items of which a server is asked again were accounted for.
    """

    def __init__(self, options: SourceOptions, known: Mapping[str, Sighting]) -> None:
        self._options = options
        self._known = known
        self._n_silent: Counter[str] = Counter()
        """By server, how many times in a row it did not answer."""

    def read(self, item: Item) -> Outcome:
        """Return the bytes of an item, or why it has none."""
        try:
            if asks_again(item):
                return self._ask(item, self._known.get(item.source_uri))
            raw = read_item(item, self._options)
        except Exception as error:  # noqa: BLE001 - the row boundary: one image never stops a run
            return rejected(item, error)
        return Outcome(item=item, raw=raw, n_bytes=len(raw))

    def _ask(self, item: Item, before: Sighting | None) -> Outcome:
        """Return the bytes at a URL, or what was found before if the server says it is the same."""
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
        """Ask a server for an item; no answer changes nothing that is known.

        Only what the server says is gone is gone.
        """
        address = item.address
        if not isinstance(address, UrlAddress):
            raise TypeError(f"{item.source_uri} is not at a URL")
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
