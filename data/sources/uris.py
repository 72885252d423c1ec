"""Names of items: their URIs, which ones are hidden or unsafe, and which ones patterns choose."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote

from wcmatch import glob

from ..errors import ConfigError
from .items import SourceOptions

MAX_PATTERNS: Final = 1000
# Slashes separate on every system, and hidden names are the callers' business.
_FLAGS: Final = glob.GLOBSTAR | glob.IGNORECASE | glob.DOTGLOB | glob.BRACE | glob.FORCEUNIX
_DRIVE: Final = re.compile(r"^[A-Za-z]:")
_SECOND_BYTE: Final = re.compile(r"(?<=[^\x00-\x7f])\\")


def file_uri(path: str) -> str:
    """The `file://` URI of an absolute path; ASCII whatever bytes the path holds."""
    return Path(path).as_uri()


def member_uri(scheme: str, container: str, member: str, *, mark: str | int | None = None) -> str:
    """The URI of something inside a file, such as "zip:///a/x.zip!inner/b.jpg".

    A `mark` goes behind a "#", which no name can hold unescaped: it tells names that recur.
    """
    inner = quote(member.encode("utf-8", "surrogateescape"), safe="/")
    uri = f"{scheme}://{file_uri(container).removeprefix('file://')}!{inner}"
    return uri if mark is None else f"{uri}#{mark}"


def stamp_of(stat: os.stat_result) -> str:
    """Changes when a file may have changed: its size and its time to the nanosecond."""
    return f"{stat.st_size}-{stat.st_mtime_ns}"


def parts_of(member: str) -> list[str]:
    """The folders and the name of an archive member; a backslash separates as well."""
    return [part for part in member.replace("\\", "/").split("/") if part not in {"", "."}]


def shielded(member: str) -> str:
    """Mask the backslashes of a name of unknown encoding that are no separators.

    The second byte of a character in Shift JIS, GBK and Big5 may be that of a backslash, and its
    first byte is never ASCII. `parts_of` and `escape_of` see the character as a whole then.
    """
    return _SECOND_BYTE.sub("_", member)


def escape_of(member: str) -> str | None:
    """How a member's name would leave the folder it is unpacked in; None when it stays."""
    plain = member.replace("\\", "/")
    if plain.startswith("/"):
        return "an absolute path"
    if _DRIVE.match(plain):
        return "a path with a drive"
    if ".." in plain.split("/"):
        return 'a path with ".."'
    if not parts_of(member):
        return "an empty name"
    return None


def is_hidden(parts: Sequence[str]) -> bool:
    """Whether any folder or the name begins with a dot, or is what macOS adds to archives."""
    return any(part.startswith(".") or part == "__MACOSX" for part in parts)


def is_chosen(parts: Sequence[str], options: SourceOptions) -> bool:
    """Whether `include` and `exclude` leave an item in, by its path below its source.

    A pattern without a slash is compared with the name of the item and of each of its
    folders; one with a slash with the whole path from the top. `*` stays within a folder,
    `**` goes through several, `{a,b}` is either. Upper and lower case are the same.
    """
    # `**` of wcmatch does not pass "..", which names of unsafe members of archives have.
    path = "/".join(part for part in parts if part != "..")
    if options.include and not _matcher_of(options.include).match(path):
        return False
    return not (options.exclude and _matcher_of(options.exclude).match(path))


@functools.lru_cache(maxsize=64)
def _matcher_of(patterns: tuple[str, ...]) -> glob.WcMatcher[str]:
    """Return what tells whether any of the patterns matches a path or a folder above it."""
    every = []
    for pattern in patterns:
        plain = pattern.removeprefix("./").strip("/")
        top = plain if "/" in plain else f"**/{plain}"
        every += [top, f"{top}/**"]
    return glob.compile(every, flags=_FLAGS, limit=0)  # each was within the limit by itself


@functools.lru_cache(maxsize=256)
def compile_pattern(pattern: str) -> glob.WcMatcher[str]:
    """Return what tells whether a path with slashes matches a pattern.

    Raises:
        ConfigError: The pattern has too many alternatives in braces.
    """
    try:
        return glob.compile(pattern, flags=_FLAGS, limit=MAX_PATTERNS)
    except Exception as error:  # its own error for too many alternatives is private
        raise ConfigError(
            f'the pattern "{pattern}" has more than {MAX_PATTERNS} alternatives in braces'
        ) from error
