"""One item of input (address, label, domain), and the settings of listing and reading.

An item has no bytes: it can be pickled, queued, and read later by another process.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from ..errors import ConfigError
from ..images.limits import ImageLimits
from ..vocabulary import Reason

PARENT_FOLDER = "parent-folder"
# Withdraws labels or domains of earlier runs; without the setting they stay.
WITHDRAW = "none"
_COLUMN = "column:"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOptions:
    """Settings of listing and reading sources.

    Attributes:
        include: Glob patterns; in folders and archives only matching members are items. A string
            is one pattern.
        exclude: Glob patterns; in folders and archives matching members are not items.
        label_from: Origin of labels: "parent-folder", "column:NAME", None for a column or sidecar
            key "label", or "none" to withdraw labels of earlier sightings of the same items.
        domain: Default domain of items without one.
        domain_from: Origin of domains, as for labels; None for a column or sidecar key "domain".
        image_column: Column of a table or list with images, paths or URLs; None to detect it.
        allow_private_urls: Whether loopback, link-local and private addresses may be fetched.
        roots: Folders that all paths in tables and lists must lie below, with symbolic links
            resolved; () for no restriction.
        limits: Limits on bytes and pixels of an image, and the accepted formats.
        fetch_timeout_s: Total time limit per URL in seconds, with redirects and retries.
        max_redirects: Maximum number of redirects per URL.

    Raises:
        ConfigError: A pattern is empty, `label_from` or `domain_from` has an unknown form,
            `domain` and `domain_from="none"` are both given, or the timeout is not positive.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    label_from: str | None = None
    domain: str | None = None
    domain_from: str | None = None
    image_column: str | None = None
    allow_private_urls: bool = False
    roots: tuple[str, ...] = ()
    limits: ImageLimits = field(default_factory=ImageLimits)
    fetch_timeout_s: float = 20
    max_redirects: int = 3

    def __post_init__(self) -> None:
        for name in ("include", "exclude"):
            patterns = getattr(self, name)
            given = (patterns,) if isinstance(patterns, str) else tuple(patterns)
            if not all(pattern.strip("/ ") for pattern in given):
                raise ConfigError(f"{name} has an empty pattern, which matches nothing; remove it")
            object.__setattr__(self, name, given)
        for name, value in (("label_from", self.label_from), ("domain_from", self.domain_from)):
            if value not in {None, PARENT_FOLDER, WITHDRAW} and not column_of(value):
                raise ConfigError(
                    f'{name} is "{value}"; allowed: "{PARENT_FOLDER}", "{_COLUMN}NAME", or'
                    f' "{WITHDRAW}" to withdraw those of earlier runs'
                )
        if self.domain is not None and self.domain_from == WITHDRAW:
            raise ConfigError(
                f'domain is "{self.domain}" and domain_from is "{WITHDRAW}"; give only one of them'
            )
        if self.fetch_timeout_s <= 0:
            raise ConfigError(f"fetch_timeout_s is {self.fetch_timeout_s}; it must be above 0")


class Tags(NamedTuple):
    """Label and domain that a source gives an item.

    Attributes:
        label: A `vocabulary.Label` value, or None.
        domain: Name of the domain, "" to withdraw an earlier one, or None.
        note: Value of the source that was not accepted, such as an unknown label; None for none.
    """

    label: str | None = None
    domain: str | None = None
    note: str | None = None


class Address(Protocol):
    """Location of an item's bytes; picklable, and readable from many threads at once."""

    def read(self, options: SourceOptions) -> bytes:
        """Return the bytes.

        Raises:
            UnreadableImage: The bytes cannot be read. No other error is raised.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One item of input.

    Attributes:
        source_uri: Permanent name of the item; ASCII, percent-encoded, such as
            "file:///a/b.jpg", "zip:///a/x.zip!inner/b.jpg", "parquet:///x.parquet!17".
        fingerprint: Text that changes if the content may have changed.
        label: A `vocabulary.Label` value given by the source, or None.
        domain: Name of the domain, "" to withdraw an earlier one, or None.
        address: Location of the bytes.
        problem: Reason and detail of a defect found while listing; None for most items.
        note: Value of the source that was not accepted; the detail of the item's sighting.
    """

    source_uri: str
    fingerprint: str
    label: str | None
    domain: str | None
    address: Address
    problem: tuple[Reason, str] | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Nowhere:
    """Address of an item with a defect found while listing."""

    reason: Reason
    detail: str

    def read(self, _options: SourceOptions) -> bytes:
        """Raise the defect as an error.

        Raises:
            UnreadableImage: On every call, with the reason.
        """
        from ..errors import UnreadableImage

        raise UnreadableImage(self.reason, self.detail)


def bad_item(
    source_uri: str,
    reason: Reason,
    detail: str,
    *,
    fingerprint: str = "bad",
    tags: Tags = Tags(),  # noqa: B008 - immutable
) -> Item:
    """Return an item with a problem, which gets a row like any other item."""
    return Item(
        source_uri=source_uri,
        fingerprint=fingerprint,
        label=tags.label,
        domain=tags.domain,
        address=Nowhere(reason, detail),
        problem=(reason, detail),
    )


def column_of(choice: str | None) -> str | None:
    """Return NAME of "column:NAME"; None for any other value."""
    if choice is None or not choice.startswith(_COLUMN):
        return None
    return choice.removeprefix(_COLUMN) or None
