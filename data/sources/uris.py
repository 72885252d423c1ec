"""Names of items: URIs, hidden and unsafe names, and selection by patterns."""

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
from ..object_addresses import is_object, object_uri
from .items import SourceOptions

MAX_PATTERNS: Final = 1000
# Slashes are separators on every system; callers handle hidden names.
_FLAGS: Final = glob.GLOBSTAR | glob.IGNORECASE | glob.DOTGLOB | glob.BRACE | glob.FORCEUNIX
_DRIVE: Final = re.compile(r"^[A-Za-z]:")
_SECOND_BYTE: Final = re.compile(r"(?<=[^\x00-\x7f])\\")


def file_uri(path: str) -> str:
    """Return the URI of an absolute path or of an object's address; ASCII for any bytes in it."""
    return object_uri(path) if is_object(path) else Path(path).as_uri()


def member_uri(scheme: str, container: str, member: str, *, mark: str | int | None = None) -> str:
    """Return the URI of a member of a file, such as "zip:///a/x.zip!inner/b.jpg".

    That of a member of an object is "zip+s3://bucket/x.zip!inner/b.jpg".

    Args:
        scheme: Scheme of the URI, such as "zip".
        container: Absolute path of the file, or address of the object.
        member: Name inside the file.
        mark: Text or number appended after "#", to distinguish members with the same name.
    """
    inner = quote(member.encode("utf-8", "surrogateescape"), safe="/")
    outer = file_uri(container)
    sign = "+" if is_object(container) else "://"
    uri = f"{scheme}{sign}{outer.removeprefix('file://')}!{inner}"
    return uri if mark is None else f"{uri}#{mark}"


def stamp_of(stat: os.stat_result) -> str:
    """Return size and modification time in nanoseconds, which change if a file may have changed."""
    return f"{stat.st_size}-{stat.st_mtime_ns}"


def parts_of(member: str) -> list[str]:
    """Return the path components of an archive member; a backslash is a separator too."""
    return [part for part in member.replace("\\", "/").split("/") if part not in {"", "."}]


def shielded(member: str) -> str:
    """Mask backslashes that are not separators in a name of unknown encoding.

    In Shift JIS, GBK and Big5 the second byte of a character may be that of a backslash; the first
    byte is never ASCII. With the mask `parts_of` and `escape_of` do not split the character.
    """
    return _SECOND_BYTE.sub("_", member)


def escape_of(member: str) -> str | None:
    """Return how a member's name would leave the folder of extraction; None if it does not."""
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
    """Return whether a component starts with a dot, or is `__MACOSX`, which macOS adds."""
    return any(part.startswith(".") or part == "__MACOSX" for part in parts)


def is_chosen(parts: Sequence[str], options: SourceOptions) -> bool:
    """Return whether `include` and `exclude` select an item, by its path below its source.

    A pattern without a slash is matched against the item's name and each of its folders, one with
    a slash against the whole path. `*` matches within a folder, `**` across folders, `{a,b}`
    either alternative. Case is ignored.
    """
    # `**` of wcmatch does not match "..", which occurs in names of unsafe archive members.
    path = "/".join(part for part in parts if part != "..")
    if options.include and not _matcher_of(options.include).match(path):
        return False
    return not (options.exclude and _matcher_of(options.exclude).match(path))


@functools.lru_cache(maxsize=64)
def _matcher_of(patterns: tuple[str, ...]) -> glob.WcMatcher[str]:
    """Return a matcher for paths that match a pattern themselves or by a folder above them."""
    every = []
    for pattern in patterns:
        plain = pattern.removeprefix("./").strip("/")
        top = plain if "/" in plain else f"**/{plain}"
        every += [top, f"{top}/**"]
    return glob.compile(every, flags=_FLAGS, limit=0)  # each pattern was checked before


@functools.lru_cache(maxsize=256)
def compile_pattern(pattern: str) -> glob.WcMatcher[str]:
    """Return a matcher of a glob pattern for paths with slashes.

    Raises:
        ConfigError: The pattern has too many alternatives in braces.
    """
    try:
        return glob.compile(pattern, flags=_FLAGS, limit=MAX_PATTERNS)
    except Exception as error:  # wcmatch's exception for too many alternatives is private
        raise ConfigError(
            f'the pattern "{pattern}" has more than {MAX_PATTERNS} alternatives in braces'
        ) from error
