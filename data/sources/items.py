"""One item of input: where its bytes are, what is said of it, and how sources are walked.

An item holds no bytes: it may be pickled, queued and read much later, by another process.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from ..errors import ConfigError
from ..images.limits import ImageLimits
from ..schema import Reason

PARENT_FOLDER = "parent-folder"
# Takes back what earlier runs said of the items; leaving the setting out takes nothing back.
WITHDRAW = "none"
_COLUMN = "column:"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOptions:
    """How sources are walked and read.

    Attributes:
        include: Glob patterns; in folders and archives only what matches is an item. One text
            is one pattern.
        exclude: Glob patterns; in folders and archives what matches is no item.
        label_from: "parent-folder", "column:NAME", None for a column or sidecar key "label", or
            "none" to withdraw the labels that earlier sightings of the same items gave.
        domain: The domain of items for which nothing else names one.
        domain_from: Likewise, for a column or sidecar key "domain"; "none" withdraws domains.
        image_column: The column of a table or list that holds images, paths or URLs;
            None to find it.
        allow_private_urls: Fetch from loopback, link-local and private addresses too.
        roots: Folders; the paths that tables and lists name must lie below one of them, also
            after links are followed. None of them: anywhere that this process may read.
        limits: What an image may cost.
        fetch_timeout_s: Seconds for one URL in all, redirects and retries included.
        max_redirects: Redirects that are followed for one URL.

    Raises:
        ConfigError: A pattern is empty, `label_from` or `domain_from` has none of these forms, or
            a domain is named and withdrawn at once.
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
            one = (patterns,) if isinstance(patterns, str) else tuple(patterns)
            if not all(pattern.strip("/ ") for pattern in one):
                raise ConfigError(f"{name} has an empty pattern, which matches nothing")
            object.__setattr__(self, name, one)
        for name, value in (("label_from", self.label_from), ("domain_from", self.domain_from)):
            if value not in {None, PARENT_FOLDER, WITHDRAW} and not column_of(value):
                raise ConfigError(
                    f'{name} is "{value}"; allowed: "{PARENT_FOLDER}", "{_COLUMN}NAME", or'
                    f' "{WITHDRAW}" to withdraw what earlier runs gave'
                )
        if self.domain is not None and self.domain_from == WITHDRAW:
            raise ConfigError(
                f'domain is "{self.domain}" and domain_from is "{WITHDRAW}"; give one of them'
            )
        if self.fetch_timeout_s <= 0:
            raise ConfigError(f"fetch_timeout_s is {self.fetch_timeout_s}; it must be above 0")


class Tags(NamedTuple):
    """What a source says of an item.

    `note`: what it says that could not be taken, such as a label that is none.
    """

    label: str | None = None
    domain: str | None = None
    note: str | None = None


class Address(Protocol):
    """Where an item's bytes are; picklable, and readable from many threads at once."""

    def read(self, options: SourceOptions) -> bytes:
        """The bytes; raises `UnreadableImage` and nothing else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One item of input.

    Attributes:
        source_uri: Names the item for good; ASCII, percent-encoded, such as
            "file:///a/b.jpg", "zip:///a/x.zip!inner/b.jpg", "parquet:///x.parquet!17".
        fingerprint: Changes when the content may have changed.
        label: A `schema.Label` value that the source gives, or None, which says nothing.
        domain: A free name of the batch it belongs to, "" to withdraw an earlier one, or None,
            which says nothing.
        address: Where the bytes are.
        problem: Known bad before reading: why, and the detail; None as a rule.
        note: What its source says of it that could not be taken; the detail of its sighting.
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
    """The address of an item that is known bad before reading."""

    reason: Reason
    detail: str

    def read(self, _options: SourceOptions) -> bytes:
        """Always raises `UnreadableImage` with the reason."""
        from ..errors import UnreadableImage

        raise UnreadableImage(self.reason, self.detail)


def bad_item(
    source_uri: str,
    reason: Reason,
    detail: str,
    *,
    fingerprint: str = "bad",
    tags: Tags = Tags(),  # noqa: B008 - it cannot be changed
) -> Item:
    """An item with a problem, so that it gets its row like any other."""
    return Item(
        source_uri=source_uri,
        fingerprint=fingerprint,
        label=tags.label,
        domain=tags.domain,
        address=Nowhere(reason, detail),
        problem=(reason, detail),
    )


def column_of(choice: str | None) -> str | None:
    """NAME of "column:NAME"; None for anything else."""
    if choice is None or not choice.startswith(_COLUMN):
        return None
    return choice.removeprefix(_COLUMN) or None
