"""What one cell of a table or list points to: a file, a URL, or the bytes themselves."""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import unquote_to_bytes, urlsplit

from .errors import InputError, UnreadableImage
from .folders import FileAddress, explain_os_error, root_of
from .items import Address, SourceOptions
from .naming import stamp_of
from .opening import ImageLimits, too_many_bytes
from .redaction import redact_url
from .schema import Reason
from .sniff import Kind, sniff

# Columns that hold pictures in the data sets we know, the likeliest first.
IMAGE_COLUMNS: Final = (
    *("image", "img", "image_bytes", "bytes", "jpg", "jpeg", "png", "webp", "image_base64"),
    *("base64", "file_name", "filename", "file", "path", "filepath", "file_path", "image_path"),
    *("url", "image_url", "uri", "src"),
)
_SCHEME: Final = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]+):")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/\s]{64,}={0,2}\s*")
_MAX_PATH_CHARS: Final = 4096


@dataclass(frozen=True, slots=True)
class UrlAddress:
    """A picture at a URL."""

    url: str = field(repr=False)  # it may hold a signature

    def read(self, options: SourceOptions) -> bytes:
        """What the URL gives, within the limits on bytes, seconds and redirects."""
        from .fetch import fetch  # most runs fetch nothing, and HTTP takes long to import

        return fetch(self.url, options)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a cell's bytes are: an address, or the bytes; `target` names it for people."""

    address: Address | None
    raw: bytes | None
    fingerprint: str
    folders: tuple[str, ...] = ()


def choose_column(names: Sequence[str], asked: str | None, where: str) -> str:
    """The column that holds pictures: the one asked for, or the likeliest.

    Raises:
        InputError: There is none; names those that there are.
    """
    if asked is not None:
        if asked in names:
            return asked
        raise InputError(f'{where} has no column "{asked}"; it has: {_listed(names)}')
    lower = {name.lower(): name for name in reversed(names)}
    for candidate in IMAGE_COLUMNS:
        if candidate in lower:
            return lower[candidate]
    raise InputError(
        f"{where} has no column that looks like pictures; it has: {_listed(names)}; "
        "name the one to use with image_column (--image-column)"
    )


def require_column(names: Sequence[str], asked: str | None, where: str) -> None:
    """Raises `InputError` when a column that was asked for by name is missing."""
    if asked is not None and asked not in names:
        raise InputError(f'{where} has no column "{asked}"; it has: {_listed(names)}')


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:20]) + (", ..." if len(names) > 20 else "") if names else "none"


def locate(cell: object, base: str, options: SourceOptions) -> Place:
    """Where the bytes of a cell are.

    A text is a URL, a `data:` URI, base64, or a path: relative ones lie below `base`. Without
    `options.roots` a path may be absolute and may lead anywhere that this process may read:
    whoever gives a list names the files in it. A struct has `bytes` or `path`, as Hugging Face
    writes them.

    Raises:
        UnreadableImage: The cell is empty or points to nothing; BAD_ROW as a rule. UNSAFE_PATH:
            a path that leads out of the roots.
    """
    if isinstance(cell, Mapping):
        inner = cell.get("bytes")
        if inner is None:
            inner = cell.get("path")
            if not isinstance(inner, str):
                raise UnreadableImage(Reason.BAD_ROW, "neither bytes nor a path")
            return locate(inner, base, options)
        raw = unbase64(inner, options.limits) if isinstance(inner, str) else _as_bytes(inner)
        path = cell.get("path")
        return Place(None, raw, "bytes", _folders_of(path) if isinstance(path, str) else ())
    if isinstance(cell, str):
        return _locate_text(cell, base, options)
    if cell is None:
        raise UnreadableImage(Reason.BAD_ROW, "the cell is empty")
    return Place(None, _as_bytes(cell), "bytes")


def _as_bytes(cell: object) -> bytes:
    if isinstance(cell, bytes | bytearray | memoryview):
        return bytes(cell)
    if isinstance(cell, list):
        try:
            return bytes(cell)
        except (TypeError, ValueError) as error:
            raise UnreadableImage(Reason.BAD_ROW, "a list that is not of bytes") from error
    raise UnreadableImage(Reason.BAD_ROW, f"a cell of type {type(cell).__name__} holds no picture")


def _locate_text(text: str, base: str, options: SourceOptions) -> Place:
    stripped = text.strip()
    if not stripped:
        raise UnreadableImage(Reason.BAD_ROW, "the cell is empty")
    scheme = _SCHEME.match(stripped[:32])
    kind = scheme[1].lower() if scheme else None
    if kind in {"http", "https"}:
        folders = _folders_of(urlsplit(stripped).path)
        return Place(UrlAddress(stripped), None, redact_url(stripped), folders)
    if kind == "data":
        return Place(None, _from_data_uri(stripped, options.limits), "bytes")
    if kind == "file":
        return _of_file(os.fsdecode(unquote_to_bytes(urlsplit(stripped).path)), options.roots)
    if kind is not None and "://" in stripped[:40]:
        detail = f'a "{kind}" address; allowed: paths, file://, http://, https://'
        raise UnreadableImage(Reason.BAD_ROW, detail)
    if _is_base64(stripped):
        return Place(None, unbase64(stripped, options.limits), "bytes")
    return _of_file(os.path.join(base, text), options.roots)  # noqa: PTH118


def _is_base64(text: str) -> bool:
    """Whether a text is a picture in base64 and not the path of a file."""
    if not _BASE64.fullmatch(text):
        return False
    if len(text) > _MAX_PATH_CHARS:
        return True
    head = "".join(text[:80].split())[:32]
    return sniff(base64.b64decode(head)).kind is Kind.IMAGE


def _of_file(path: str, roots: tuple[str, ...]) -> Place:
    absolute = os.path.abspath(path)  # noqa: PTH100
    try:
        # Before it is looked at: whether a file outside exists is nobody's business.
        root = root_of(absolute, roots) if roots else None
        stamp = stamp_of(os.stat(absolute))  # noqa: PTH116
    except (OSError, ValueError) as error:
        raise UnreadableImage(*explain_os_error(error)) from error
    return Place(FileAddress(absolute, root), None, f"{absolute} {stamp}", _folders_of(absolute))


def _folders_of(path: str) -> tuple[str, ...]:
    return Path(path).parts[:-1][-1:]


def unbase64(text: str, limits: ImageLimits) -> bytes:
    """Bytes of base64; refuses what would be beyond the byte limit before decoding."""
    if len(text) // 4 * 3 > limits.max_bytes * 1.1:
        raise too_many_bytes(len(text) // 4 * 3, limits)
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise UnreadableImage(Reason.BAD_ROW, f"not base64: {error}") from error


def _from_data_uri(text: str, limits: ImageLimits) -> bytes:
    head, comma, body = text.partition(",")
    if not comma or not head.lower().endswith(";base64"):
        raise UnreadableImage(Reason.BAD_ROW, "a data: address without base64")
    return unbase64(body, limits)
