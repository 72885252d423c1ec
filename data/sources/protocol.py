"""Protocol of sources, shared by built-in and installed ones.

A source lists items without reading their images. An installed package adds a source under the
entry point group `assay.sources`; see docs/howto/add-a-source.md.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from ..object_addresses import is_object, parse
from ..source_paths import path_of, scheme_of
from .forms import Form, form_of
from .items import Item, SourceOptions


@dataclass(frozen=True)
class SourceRef:
    """One SOURCE as given by the user, and its properties, each determined once.

    Attributes:
        text: Path, glob or URL as given.
    """

    text: str

    @functools.cached_property
    def scheme(self) -> str:
        """Scheme of a URL in lower case; "" for a path or a glob."""
        return scheme_of(self.text)

    @functools.cached_property
    def path(self) -> str | None:
        """Absolute path; None for a scheme other than `file`."""
        return path_of(self.text)

    @functools.cached_property
    def exists(self) -> bool:
        """Whether a file or folder exists at the path."""
        return bool(self.path) and os.path.exists(self.path or "")  # noqa: PTH110

    @functools.cached_property
    def is_folder(self) -> bool:
        """Whether a folder exists at the path."""
        return bool(self.path) and os.path.isdir(self.path or "")  # noqa: PTH112

    @functools.cached_property
    def form(self) -> Form | None:
        """Form of the file, by its suffix and its first bytes; None if there is no file.

        Raises:
            InputError: The file has an unsupported form.
        """
        if not self.path or not self.exists or self.is_folder:
            return None
        return form_of(self.path)

    def __str__(self) -> str:
        """Return the absolute path, the address of an object or the URL, for messages."""
        if self.path is not None:
            return self.path
        if not is_object(self.text):
            return self.text
        name = parse(self.text)
        return name.with_key(name.key)


IsListed = Callable[[str], bool]
"""Whether the file at an absolute path is an item of an earlier source."""


class Source(Protocol):
    """A source; installed packages implement this protocol."""

    def check(self, ref: SourceRef, options: SourceOptions) -> None:
        """Refuse a reference that cannot be listed; called before anything is ingested.

        Raises:
            InputError: The source does not exist or cannot be opened; the message states what to
                do.
        """

    def items(self, ref: SourceRef, options: SourceOptions) -> Iterator[Item]:
        """Yield the items one by one, in the same order in every run, without reading images."""
        ...


class SourceRow(Protocol):
    """Row of `find.SOURCES`: one kind of source."""

    name: str

    def takes(self, ref: SourceRef) -> bool:
        """Return whether this kind of source reads the reference."""
        ...

    def check(self, ref: SourceRef, options: SourceOptions) -> None:
        """Refuse a reference that cannot be listed; see `Source.check`."""

    def items(self, ref: SourceRef, options: SourceOptions, is_listed: IsListed) -> Iterator[Item]:
        """Yield the items that no earlier source of the run has listed; see `Source.items`."""
        ...


class FormSource:
    """Row for files of one form: an archive, a table or a list."""

    def __init__(
        self,
        form: Form,
        check: Callable[[str, SourceOptions], None],
        items: Callable[[str, SourceOptions], Iterator[Item]],
    ) -> None:
        self.name = form.value
        self._check = check
        self._items = items

    def takes(self, ref: SourceRef) -> bool:
        """Return whether the file has this form."""
        return ref.form == self.name

    def check(self, ref: SourceRef, options: SourceOptions) -> None:
        """Refuse a file that cannot be opened in its form."""
        self._check(str(ref), options)

    def items(self, ref: SourceRef, options: SourceOptions, _is_listed: IsListed) -> Iterator[Item]:
        """Yield the items inside the file."""
        yield from self._items(str(ref), options)
