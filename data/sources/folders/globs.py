"""Expansion of globs to paths, lazily and in a fixed order.

wcmatch matches the patterns. Its own walk is unordered: all paths would have to be collected and
sorted before the first one, which takes 0.8 s for 50,000 paths.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Final

from ...user_paths import from_home
from ..files import list_folder
from ..uris import compile_pattern, is_hidden

_MAGIC: Final = re.compile(r"[*?\[]|\{[^{}/]*(?:,|\.\.)[^{}/]*\}")


def has_magic(text: str) -> bool:
    """Return whether a path is a glob."""
    return _MAGIC.search(text) is not None


def expand_glob(pattern: str) -> Iterator[str]:
    """Yield matching absolute paths, sorted within each folder; with `**` files only.

    Hidden names match only if the pattern has the dot.
    """
    parts = from_home(pattern).absolute().parts
    kept = tuple(p for n, p in enumerate(parts) if p != "**" or parts[n - 1] != "**")
    for path in _expand(kept[0], kept[1:]):
        if "**" not in kept or not os.path.isdir(path):  # noqa: PTH112
            yield path


def _expand(base: str, parts: tuple[str, ...]) -> Iterator[str]:
    if not parts:
        yield base
        return
    head, rest = parts[0], parts[1:]
    if not has_magic(head):
        if os.path.lexists(found := os.path.join(base, head)):  # noqa: PTH118
            yield from _expand(found, rest)
        return
    try:
        files, folders, links = list_folder(base)
    except (NotADirectoryError, FileNotFoundError, PermissionError):
        return
    if head == "**":
        yield from _expand(base, rest or ("*",))
        for name in folders:
            if not is_hidden([name]):
                yield from _expand(os.path.join(base, name), parts)  # noqa: PTH118
        return
    matcher = compile_pattern(head)
    for name in sorted(folders + links + ([] if rest else files)):
        if matcher.match(name) and (head.startswith(".") or not is_hidden([name])):
            yield from _expand(os.path.join(base, name), rest)  # noqa: PTH118
