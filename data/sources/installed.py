"""Sources of installed packages, selected by scheme or suffix: the name of their entry point.

Only the package of a requested source is imported. If it fails while listing, the failure becomes
one item with a problem; its earlier items are kept, and other sources continue.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, cast
from urllib.parse import quote

from ..errors import AssayError, ConfigError, InputError, UnreadableImage, brief
from ..plugins import entries, load, package_of
from ..source_paths import scheme_of
from ..text.redaction import redact_url
from ..text.wording import counted
from ..vocabulary import Label, Reason
from .items import Address, Item, SourceOptions, bad_item
from .labelling import UNKNOWN_LABEL
from .protocol import IsListed, Source, SourceRef
from .uris import file_uri

GROUP: Final = "assay.sources"

_LABELS: Final = frozenset(label.value for label in Label)

_log = logging.getLogger(__name__)


class InstalledSource:
    """Row of `SOURCES` for all sources of installed packages."""

    name = "installed"

    def takes(self, ref: SourceRef) -> bool:
        """Return whether an entry point is named after the scheme or the suffix."""
        return _entry_for(ref) is not None

    def check(self, ref: SourceRef, options: SourceOptions) -> None:
        """Import the source and run its own check.

        Raises:
            ConfigError: The package cannot be imported, or its object is not a source.
            InputError: The source refuses the reference, or fails.
        """
        name = _name_for(ref)
        try:
            _source(name).check(ref, options)
        except AssayError:
            raise
        except Exception as error:
            _log.debug("%s failed", _whose(name), exc_info=True)
            raise InputError(f"{ref}: {_failed(name, error)}") from error

    def items(self, ref: SourceRef, options: SourceOptions, _is_listed: IsListed) -> Iterator[Item]:
        """Yield the items of the source, and one item with a problem if it fails."""
        name = _name_for(ref)
        number = 0
        try:
            for number, item in enumerate(_source(name).items(ref, options), start=1):
                problem = _wrong_with(item)
                if problem is None:
                    yield _checked(item, name)
                else:
                    yield bad_item(
                        _uri_of(ref, number), Reason.BAD_ROW, f"{_whose(name)} gives {problem}"
                    )
        except Exception as error:  # noqa: BLE001 - the source boundary: no source stops a run
            _log.warning("%s: %s", ref, _failed(name, error))
            _log.debug("%s failed", _whose(name), exc_info=True)
            detail = f"after {counted(number, 'item')}, {_failed(name, error)}"
            yield bad_item(_uri_of(ref), Reason.FETCH_FAILED, detail)


def installed_schemes() -> list[str]:
    """Return the schemes of installed sources."""
    return [name for name in entries(GROUP) if not name.startswith(".")]


def _entry_for(ref: SourceRef) -> str | None:
    """Return the entry point that reads a source: its scheme, or the longest matching suffix."""
    named = entries(GROUP)
    if ref.path is None:
        return ref.scheme if ref.scheme in named else None
    fitting = [name for name in named if name[:1] == "." and _ends_with(ref.path, name)]
    if not fitting or not ref.exists:
        return None  # a missing file, or a glob
    return max(fitting, key=len)


def _ends_with(path: str, suffix: str) -> bool:
    return path.lower().endswith(suffix.lower())


def _name_for(ref: SourceRef) -> str:
    name = _entry_for(ref)
    if name is None:
        raise LookupError(f"no installed source reads {ref}")
    return name


def _source(name: str) -> Source:
    made = load(GROUP, name)
    if isinstance(made, type):
        made = made()
    if not all(callable(getattr(made, method, None)) for method in ("check", "items")):
        raise ConfigError(
            f"{_whose(name)} has no methods check and items; see Source in"
            " assay.data.sources.protocol, and update the package or uninstall it"
        )
    return cast("Source", made)


def _wrong_with(item: object) -> str | None:
    """Return why an object from a source is not a valid item; None for a valid one."""
    if not isinstance(item, Item):
        return f"{type(item).__name__}, not an Item"
    uri = item.source_uri
    if not uri.isascii() or not scheme_of(uri):
        return f'the source_uri "{uri}"; it must be a percent-encoded URI with a scheme'
    return None


def _checked(item: Item, name: str) -> Item:
    """Return an item in the form of the tables: without secrets and without unknown labels."""
    label, note = item.label, item.note
    if label is not None and label not in _LABELS:
        label, note = None, note or f"{UNKNOWN_LABEL}{label}"
    address = _Guarded(item.address, _whose(name))
    return replace(
        item, source_uri=redact_url(item.source_uri), label=label, note=note, address=address
    )


@dataclass(frozen=True, slots=True)
class _Guarded:
    """Address of an installed source's item, which returns bytes or raises `UnreadableImage`."""

    address: Address
    whose: str

    def read(self, options: SourceOptions) -> bytes:
        """Return the bytes; a failure counts as transient and is retried by the next run."""
        try:
            raw: object = self.address.read(options)
        except (UnreadableImage, MemoryError):
            raise
        except Exception as error:
            _log.debug("%s failed", self.whose, exc_info=True)
            detail = f"{self.whose} failed: {type(error).__name__}: {brief(error)}"
            raise UnreadableImage(Reason.FETCH_FAILED, detail) from error
        if not isinstance(raw, bytes):
            detail = f"{self.whose} gives {type(raw).__name__}, not bytes"
            raise UnreadableImage(Reason.FETCH_FAILED, detail)
        return raw


def _uri_of(ref: SourceRef, number: int | None = None) -> str:
    uri = ref.text if ref.path is None else file_uri(ref.path)
    uri = quote(redact_url(uri), safe=":/?#[]@!$&'()*+,;=%~")
    return uri if number is None else f"{uri}#{number}"


def _whose(name: str) -> str:
    return f'the source "{name}" of {package_of(entries(GROUP)[name])}'


def _failed(name: str, error: Exception) -> str:
    return f"{_whose(name)} failed: {type(error).__name__}: {brief(error)}"
