"""The cell of a table or list that has an image: a path, a URL, or the bytes themselves."""

from __future__ import annotations

import base64
import binascii
import os
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, unquote_to_bytes

from ..errors import InputError, UnreadableImage
from ..images.limits import ImageLimits, too_many_bytes
from ..images.sniff import Kind, sniff
from ..object_addresses import SCHEMES as OBJECTS
from ..object_addresses import is_object, is_within, parse
from ..source_paths import path_of_uri
from ..text.redaction import redact_url
from ..text.unicode import is_valid, valid_text
from ..text.wording import counted
from ..vocabulary import Reason
from .buckets.object_address import ObjectAddress
from .columns import BYTE_COLUMNS, IMAGE_COLUMNS
from .files import FileAddress, explain_os_error, root_of
from .items import Address, SourceOptions
from .uris import parts_of, stamp_of
from .web.fetched import Fetched

_SCHEME: Final = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]+):")
# The smallest GIFs are 48 characters long.
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_\s-]{32,}={0,2}\s*")
_URL_SAFE: Final = str.maketrans("-_", "+/")
_ESCAPED_BYTE: Final = re.compile("[\udc80-\udcff]")
_WINDOWS_ROOT: Final = re.compile(r"/?[A-Za-z]:(?=[\\/])|\\\\[^\\]+")
_MAX_PATH_CHARS: Final = 4096


@dataclass(frozen=True, slots=True)
class UrlAddress:
    """An image at a URL.

    Attributes:
        url: URL of the image, possibly with a signature.
        asks_again: Whether the server must be asked if the image of a known item changed, since
            the item's fingerprint does not show it.
    """

    url: str = field(repr=False)
    asks_again: bool = True

    @property
    def server(self) -> str:
        """Host and port as written in the URL, in lower case."""
        return re.split(r"[/?#]", self.url.partition("://")[2], maxsplit=1)[0].lower()

    def read(self, options: SourceOptions) -> bytes:
        """Fetch the image within the limits on bytes, seconds and redirects."""
        from .web.http import fetch  # slow to import, and most runs fetch nothing

        return fetch(self.url, options)

    def read_if_changed(self, options: SourceOptions, mark: str) -> Fetched:
        """Fetch the image unless it is unchanged since the mark was recorded."""
        from .web.http import fetch_if_changed

        return fetch_if_changed(self.url, options, mark=mark)


@dataclass(frozen=True, slots=True)
class Place:
    """Location of a cell's bytes: an address, or the bytes themselves.

    Attributes:
        address: Address of the bytes; None for bytes in the cell.
        raw: Bytes in the cell; None for an address.
        fingerprint: Text that changes if the location or the file behind it changes.
        folders: Name of the folder that the path or URL lies in, as a tuple of one, or ().
    """

    address: Address | None
    raw: bytes | None
    fingerprint: str
    folders: tuple[str, ...] = ()


def images_in(cell: object) -> list[object] | None:
    """Return the cells of a list of images; None for a cell with at most one image.

    A list of integers is the bytes of one image.
    """
    if not isinstance(cell, list) or (cell and all(isinstance(part, int) for part in cell)):
        return None
    return cell


def locate(cell: object, base: str, options: SourceOptions) -> Place:
    """Locate the bytes of a cell.

    A text is a URL, a `data:` URI, base64, or a path, absolute or relative to `base`. Without
    `options.roots` a path may name any file that this process can read, since the user chose the
    list. A struct has `bytes` or `path`, as in Hugging Face's datasets.

    Args:
        cell: Value of the cell.
        base: Folder of the table or list.
        options: Settings of reading; `roots` and `limits` are used.

    Raises:
        UnreadableImage: The cell is empty or has no image (BAD_ROW), its file does not exist
            (NOT_FOUND), or its path is outside the roots (UNSAFE_PATH).
    """
    if isinstance(cell, Mapping):
        return _locate_struct(cell, base, options)
    if isinstance(cell, str):
        return _locate_text(cell, base, options)
    if cell is None:
        raise UnreadableImage(Reason.BAD_ROW, "the cell is empty")
    return Place(None, _as_bytes(cell), "bytes")


def _locate_struct(cell: Mapping[str, object], base: str, options: SourceOptions) -> Place:
    lower = {key.strip().lower(): value for key, value in cell.items() if value is not None}
    inner = lower.get("bytes")
    if inner is None:
        inner = next((lower[n] for n in BYTE_COLUMNS if isinstance(lower.get(n), bytes)), None)
    path = lower.get("path")
    if inner is not None:
        raw = unbase64(inner, options.limits) if isinstance(inner, str) else _as_bytes(inner)
        return Place(None, raw, "bytes", folders_of(path) if isinstance(path, str) else ())
    for name in ("path", *IMAGE_COLUMNS):
        text = lower.get(name)
        if isinstance(text, str) and text.strip():
            return _locate_text(text, base, options)
    raise UnreadableImage(Reason.BAD_ROW, "neither bytes nor a path")


def _as_bytes(cell: object) -> bytes:
    if isinstance(cell, bytes | bytearray | memoryview):
        return bytes(cell)
    if isinstance(cell, list):
        try:
            return bytes(cell)
        except (TypeError, ValueError) as error:
            raise UnreadableImage(Reason.BAD_ROW, "a list of values that are not bytes") from error
    raise UnreadableImage(Reason.BAD_ROW, f"a cell of type {type(cell).__name__} has no image")


def _locate_text(text: str, base: str, options: SourceOptions) -> Place:
    # Concatenated files have byte order marks in the middle.
    stripped = text.strip().lstrip("\ufeff").lstrip()
    if not stripped:
        raise UnreadableImage(Reason.BAD_ROW, "the cell is empty")
    scheme = _SCHEME.match(stripped[:32])
    kind = scheme[1].lower() if scheme else None
    if kind in {"http", "https"}:
        url = _valid_url(stripped)
        return Place(UrlAddress(url), None, redact_url(url), folders_of(path_of_uri(url)))
    if kind == "data":
        return Place(None, _from_data_uri(stripped, options.limits), "bytes")
    if kind is not None and is_object(stripped):
        return _of_object(stripped, base, options.roots)
    if kind == "file":
        _require_local(base)
        path = os.fsdecode(unquote_to_bytes(path_of_uri(_valid_url(stripped))))
        return _of_file([path], base, options.roots)
    if kind is not None and "://" in stripped[:40]:
        detail = f'a "{kind}" URL; allowed: paths, file, http, https, {", ".join(OBJECTS)}'
        raise UnreadableImage(Reason.BAD_ROW, detail)
    if is_base64_image(stripped):
        return Place(None, unbase64(stripped, options.limits), "bytes")
    if len(stripped) > _MAX_PATH_CHARS:
        detail = f"{counted(len(stripped), 'character')}: neither a path nor an image in base64"
        raise UnreadableImage(Reason.BAD_ROW, detail)
    if is_object(base):
        return _of_object(_beside(stripped, base), base, options.roots)
    return _of_file([stripped, text], base, options.roots)


def _beside(name: str, base: str) -> str:
    """Return the address of a path relative to a list in a bucket."""
    if name.startswith("/") or _WINDOWS_ROOT.match(name):
        _require_local(base)
    top = parse(base)
    key = posixpath.normpath(f"{top.key}/{name.replace(chr(92), '/')}").lstrip("/")
    if key.startswith(".."):
        raise UnreadableImage(Reason.UNSAFE_PATH, 'a path with ".." that leads out of the bucket')
    return top.with_key(key)


def _require_local(base: str) -> None:
    if is_object(base):
        detail = "a path on this machine, in a list of a bucket; write paths relative to the list"
        raise UnreadableImage(Reason.UNSAFE_PATH, detail)


def _of_object(address: str, base: str, roots: tuple[str, ...]) -> Place:
    """Return the place of an object that the list may name: below a root, or in its own bucket."""
    try:
        name = parse(_valid_url(address))
    except InputError as error:
        raise UnreadableImage(Reason.BAD_ROW, str(error)) from error
    whole = name.with_key(name.key)
    require_within(whole, roots or ((parse(base).store,) if is_object(base) else ()))
    return Place(ObjectAddress(whole, asks_again=True), None, whole, folders_of(name.key))


def require_within(address: str, roots: tuple[str, ...]) -> None:
    """Refuse an object outside the roots; without roots, none is refused.

    Raises:
        UnreadableImage: The object lies below none of the roots (UNSAFE_PATH).
    """
    if roots and not any(is_within(address, root) for root in roots if is_object(root)):
        detail = f"an object outside of what the list may name (--root): {', '.join(roots)}"
        raise UnreadableImage(Reason.UNSAFE_PATH, detail)


def _valid_url(url: str) -> str:
    """Return a URL with bytes that are not valid UTF-8 percent-encoded."""
    escaped = _ESCAPED_BYTE.sub(lambda found: f"%{ord(found[0]) - 0xDC00:02X}", url)
    if not is_valid(escaped):
        raise UnreadableImage(Reason.BAD_ROW, "a URL with an unpaired surrogate")
    return escaped


def is_base64_image(text: str) -> bool:
    """Return whether a text is an image in base64 and not the path of a file."""
    if not _BASE64.fullmatch(text[: 2 * _MAX_PATH_CHARS]):
        return False
    head = "".join(text[:400].split()).rstrip("=")[:256].translate(_URL_SAFE)
    # Only complete groups of four: the path of a file without a suffix has any length.
    head = head[: len(head) // 4 * 4]
    return sniff(base64.b64decode(head)).kind in {Kind.IMAGE, Kind.ARCHIVE}


def _of_file(paths: Sequence[str], base: str, roots: tuple[str, ...]) -> Place:
    """Return the first spelling of a path that exists."""
    spellings = dict.fromkeys(spelling for path in paths for spelling in _spellings(path))
    missing: UnreadableImage | None = None
    for spelling in spellings:
        absolute = os.path.abspath(os.path.join(base, spelling))  # noqa: PTH100, PTH118
        try:
            # Checked before `stat`, which would reveal whether a file outside the roots exists.
            root = root_of(absolute, roots) if roots else None
            stamp = stamp_of(os.stat(absolute))  # noqa: PTH116
        except (OSError, ValueError) as error:
            missing = missing or UnreadableImage(*explain_os_error(error))
            continue
        return Place(FileAddress(absolute, root), None, f"{absolute} {stamp}", folders_of(absolute))
    drive = _WINDOWS_ROOT.match(paths[0])
    if drive is not None and os.name != "nt":
        detail = (
            f"a path on another machine ({drive[0].lstrip('/')}: a Windows drive or share);"
            " write paths relative to the list"
        )
        raise UnreadableImage(Reason.NOT_FOUND, detail)
    raise missing or UnreadableImage(Reason.BAD_ROW, "the cell is empty")


def _spellings(path: str) -> Iterator[str]:
    """Yield a path as written and decoded as Windows-1252, also with "/" for backslashes."""
    for text in (path, valid_text(path)):
        yield text
        if "\\" in text and _WINDOWS_ROOT.match(text) is None:
            yield text.replace("\\", "/")


def folders_of(path: str) -> tuple[str, ...]:
    """Return the name of the folder that a path lies in, as a tuple of one; () for none."""
    return tuple(parts_of(path)[:-1][-1:])


def unbase64(text: str, limits: ImageLimits) -> bytes:
    """Decode base64, with the byte limit checked before decoding.

    Raises:
        UnreadableImage: The text is not base64, or its bytes exceed the limit.
    """
    if len(text) // 4 * 3 > limits.max_bytes * 1.1:
        raise too_many_bytes(len(text) // 4 * 3, limits)
    packed = "".join(text.split()).translate(_URL_SAFE)
    try:
        raw = base64.b64decode(packed + "=" * (-len(packed) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise UnreadableImage(Reason.BAD_ROW, f"not base64: {error}") from error
    if len(raw) > limits.max_bytes:
        raise too_many_bytes(len(raw), limits)
    return raw


def _from_data_uri(text: str, limits: ImageLimits) -> bytes:
    head, comma, body = text.partition(",")
    if not comma or not head.lower().endswith(";base64"):
        raise UnreadableImage(Reason.BAD_ROW, "a data: URI without base64")
    return unbase64(unquote(body) if "%" in body else body, limits)
