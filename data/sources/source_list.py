"""A list of sources: a file that stands for the files and objects that it names.

The file `NAME.sources.jsonl` has one JSON text per line, a `file://` URI or the address of an
object. Each becomes the items that it would be as a source of its own, under the same names, with
the labels beside it; the list itself leaves no trace in the rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Final

from ..errors import InputError
from .lists.list_files import DAMAGE, open_list, raw_lines

SUFFIX: Final = ".sources.jsonl"
_MAX_LINE_BYTES: Final = 2**16


def is_source_list(source: str) -> bool:
    """Return whether a source is a list of sources, by its name."""
    return source.endswith(SUFFIX)


def source_list(sources: Iterable[str]) -> bytes:
    """Return the content of a list of sources."""
    return b"".join(json.dumps(source).encode() + b"\n" for source in sources)


def read_source_list(path: str) -> Iterator[str | None]:
    """Yield the sources of a list, and None for a line that is none.

    Raises:
        InputError: The list cannot be read.
    """
    try:
        with open_list(path) as stream:
            for line in raw_lines(stream, _MAX_LINE_BYTES):
                if line.is_cut or line.raw.strip():
                    yield None if line.is_cut else _source_in(line.raw)
    except DAMAGE as error:
        raise InputError(f"{path}: cannot be read: {error or type(error).__name__}") from error


def _source_in(line: bytes) -> str | None:
    try:
        source = json.loads(line)
    except ValueError:
        return None
    is_usable = isinstance(source, str) and "://" in source and not is_source_list(source)
    return source if is_usable else None
