"""What a source is: the protocol that built-in and installed sources share.

A source lists items without reading their images. An installed package adds one under the entry
points `assay.sources`; see docs/howto/add-a-source.md.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from ..source_paths import path_of, scheme_of
from .forms import Form, form_of
from .items import Item, SourceOptions


@dataclass(frozen=True)
class SourceRef:
    """One SOURCE as a user names it, and what is known of it; looked up once.

    Attributes:
        text: Path, glob or URL, as given.
    """

    text: str

    @functools.cached_property
    def scheme(self) -> str:
        """Scheme of a URL in lower case; "" for a path or a glob."""
        return scheme_of(self.text)

    @functools.cached_property
    def path(self) -> str | None:
        """Absolute path; None where another scheme than `file` is given."""
        return path_of(self.text)

    @functools.cached_property
    def exists(self) -> bool:
        """Whether a file or a folder is there."""
        return bool(self.path) and os.path.exists(self.path or "")  # noqa: PTH110

    @functools.cached_property
    def is_folder(self) -> bool:
        """Whether a folder is there."""
        return bool(self.path) and os.path.isdir(self.path or "")  # noqa: PTH112

    @functools.cached_property
    def form(self) -> Form | None:
        """What the file holds, by its suffix and its first bytes; None where there is no file.

        Raises:
            InputError: It holds something that assay does not read.
        """
        if not self.path or not self.exists or self.is_folder:
            return None
        return form_of(self.path)

    def __str__(self) -> str:
        """Return the path or the URL that messages name."""
        return self.text if self.path is None else self.path


IsListed = Callable[[str], bool]
"""Whether the file at an absolute path is an item of an earlier source."""


class Source(Protocol):
    """Lists the items of what a user names; an installed package adds a class like this."""

    def check(self, ref: SourceRef, options: SourceOptions) -> None:
        """Refuse what cannot be listed at all; called before anything is ingested.

        Raises:
            InputError: It does not exist or cannot be opened; the message says what to do.
        """

    def items(self, ref: SourceRef, options: SourceOptions) -> Iterator[Item]:
        """Yield the items one by one, in the same order in every run, without reading images."""
        ...


class SourceRow(Protocol):
    """A row of the table in `find`: which texts a source takes, and its items."""

    name: str

    def takes(self, ref: SourceRef) -> bool:
        """Return whether the source reads what a user names."""
        ...

    def check(self, ref: SourceRef, options: SourceOptions) -> None:
        """Refuse what cannot be listed at all; see `Source.check`."""

    def items(self, ref: SourceRef, options: SourceOptions, is_listed: IsListed) -> Iterator[Item]:
        """Yield the items that no earlier source of the run listed; see `Source.items`."""
        ...


class FormSource:
    """The row of files of one form: an archive, a table or a list."""

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
        """Return whether the file holds this form."""
        return ref.form == self.name

    def check(self, ref: SourceRef, options: SourceOptions) -> None:
        """Refuse a file that cannot be opened as what it is."""
        self._check(str(ref), options)

    def items(self, ref: SourceRef, options: SourceOptions, _is_listed: IsListed) -> Iterator[Item]:
        """Yield the items inside the file."""
        yield from self._items(str(ref), options)
