"""The text of a SOURCE: its scheme, its absolute path, and the path of a URI."""

from __future__ import annotations

import os
import re
from typing import Final
from urllib.parse import unquote_to_bytes

from .user_paths import from_home

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_BEHIND_PATH: Final = re.compile(r"[?#]")


def scheme_of(source: str) -> str:
    """Return the scheme of a URL in lower case; "" for a path or a glob."""
    found = _SCHEME.match(source)
    return found[1].lower() if found else ""


def path_of(source: str) -> str | None:
    """Return the absolute path of a source; None for a scheme other than `file`.

    Symbolic links are not resolved. A `file://` URI without a path gives "".
    """
    scheme = scheme_of(source)
    if scheme == "file":
        path = os.fsdecode(unquote_to_bytes(path_of_uri(source)))
        return os.path.abspath(path) if path else ""  # noqa: PTH100
    return None if scheme else os.path.abspath(from_home(source))  # noqa: PTH100


def absolute_source(source: str) -> str:
    """Return a source with an absolute path; a URL is returned unchanged."""
    return source if scheme_of(source) else path_of(source) or source


def path_of_uri(uri: str) -> str:
    """Return the path of a URI, still percent-encoded; "" for a URI without one.

    Invalid URIs are accepted: `urllib.parse` raises on brackets and ports that occur in lists.
    """
    _, separator, rest = uri.partition("://")
    if not separator:
        return _BEHIND_PATH.split(uri.partition(":")[2], maxsplit=1)[0]
    _, slash, path = _BEHIND_PATH.split(rest, maxsplit=1)[0].partition("/")
    return slash + path
