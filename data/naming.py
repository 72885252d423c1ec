"""Names of items: their URIs, which ones are hidden or unsafe, and which ones patterns choose."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote

from .items import SourceOptions

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
    `**` goes through several. Upper and lower case are the same.
    """
    if options.include and not _matches(parts, options.include):
        return False
    return not (options.exclude and _matches(parts, options.exclude))


def _matches(parts: Sequence[str], patterns: tuple[str, ...]) -> bool:
    for pattern in patterns:
        compiled = compile_glob(pattern.strip("/"))
        if "/" in pattern.strip("/"):
            if any(compiled.fullmatch("/".join(parts[: n + 1])) for n in range(len(parts))):
                return True
        elif any(compiled.fullmatch(part) for part in parts):
            return True
    return False


@functools.lru_cache(maxsize=256)
def compile_glob(pattern: str) -> re.Pattern[str]:
    """A glob with `*`, `?`, `[...]`, `**` as a regular expression for `fullmatch`."""
    out = []
    at = 0
    while at < len(pattern):
        if pattern.startswith("**/", at):
            out.append("(?:[^/]+/)*")
            at += 3
        elif pattern.startswith("**", at):
            out.append(".*")
            at += 2
        elif pattern[at] == "*":
            out.append("[^/]*")
            at += 1
        elif pattern[at] == "?":
            out.append("[^/]")
            at += 1
        elif pattern[at] == "[" and (end := pattern.find("]", at + 2)) > 0:
            body = pattern[at + 1 : end].replace("\\", "\\\\")
            out.append(f"[^{body[1:]}]" if body[0] == "!" else f"[{body}]")
            at = end + 1
        else:
            out.append(re.escape(pattern[at]))
            at += 1
    return re.compile("".join(out), re.IGNORECASE | re.DOTALL)
