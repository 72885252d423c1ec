"""A URL given as SOURCE: one item."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ..source_paths import path_of_uri
from ..text.redaction import redact_url
from .cells import UrlAddress
from .items import Item, SourceOptions
from .labelling import tags_of
from .protocol import IsListed, SourceRef
from .web.fetched import NO_MARK

SCHEMES: Final = ("http", "https")


class UrlSource:
    """Source of the image at a URL."""

    name = "url"

    def takes(self, ref: SourceRef) -> bool:
        """Return whether the reference is an http or https URL."""
        return ref.scheme in SCHEMES

    def check(self, ref: SourceRef, options: SourceOptions) -> None:
        """Accept any URL without a request; a failure becomes the item's problem."""

    def items(self, ref: SourceRef, options: SourceOptions, _is_listed: IsListed) -> Iterator[Item]:
        """Yield the one item."""
        from .web.http import (
            fingerprint_of_url,  # slow to import, and most runs fetch nothing
        )

        url = ref.text
        tags = tags_of(options, folders=Path(path_of_uri(url)).parts[:-1][-1:])
        yield Item(
            source_uri=redact_url(url),
            fingerprint=fingerprint_of_url(url, options) or NO_MARK,
            label=tags.label,
            domain=tags.domain,
            note=tags.note,
            address=UrlAddress(url, asks_again=False),
        )
