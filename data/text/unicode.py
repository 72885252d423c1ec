"""Decoding of external text: from bytes of unknown encoding to text that UTF-8 can encode.

Bytes that may name a file are kept as surrogate escapes, as `os.fsdecode` does, until they are
used; `valid_text` turns them into text for display and tables.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from typing import Final

_BOMS: Final = (
    # First, since the UTF-32 mark for little endian begins with the UTF-16 mark.
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_LINE_END: Final = re.compile(r"\r\n|\n|\r")
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_REPLACEMENT: Final = "\ufffd"


def encoding_of(head: bytes) -> tuple[str, int]:
    """Return the encoding given by a byte order mark, UTF-8 without one, and the mark's length."""
    for bom, encoding in _BOMS:
        if head.startswith(bom):
            return encoding, len(bom)
    return "utf-8", 0


def is_binary(head: bytes) -> bool:
    """Return whether the first bytes of a file cannot be text.

    Only the first line is checked: a control character in a later line is damage to that line.
    """
    first = re.split(rb"[\r\n]", head.lstrip(b"\r\n"), maxsplit=1)[0]
    return encoding_of(head)[1] == 0 and _CONTROL.search(first) is not None


def decode_text(raw: bytes) -> str:
    """Return the valid text of a whole file, without its byte order mark.

    UTF-16 and UTF-32 are detected by their marks; anything else is UTF-8, with bytes that are
    not valid UTF-8 decoded as Windows-1252.

    Raises:
        ValueError: The bytes are not text.
    """
    encoding, n_bom_bytes = encoding_of(raw)
    if n_bom_bytes == 0 and (b"\0" in raw[:4096] or is_binary(raw[:4096])):
        raise ValueError("not text: it has NUL or other control bytes; save it as UTF-8")
    if encoding == "utf-8":
        return valid_text(decode_escaped(raw[n_bom_bytes:]))
    return valid_text(raw[n_bom_bytes:].decode(encoding, "replace"))


def decode_escaped(raw: bytes) -> str:
    """Return decoded UTF-8, with bytes that are not valid UTF-8 as surrogate escapes."""
    return raw.decode("utf-8", "surrogateescape")


def valid_text(text: str) -> str:
    """Return the text with characters replaced that UTF-8 cannot encode.

    Surrogate escapes become the Windows-1252 characters of their bytes, other lone surrogates
    U+FFFD.
    """
    return _SURROGATE.sub(_mend, text)


def _mend(surrogate: re.Match[str]) -> str:
    code = ord(surrogate[0])
    if not 0xDC80 <= code <= 0xDCFF:
        return _REPLACEMENT
    byte = bytes([code - 0xDC00])
    try:
        return byte.decode("cp1252")
    except UnicodeDecodeError:
        return byte.decode("latin-1")


def is_valid(text: str) -> bool:
    """Return whether UTF-8 can encode the text."""
    return _SURROGATE.search(text) is None


def split_lines(text: str) -> Iterator[str]:
    """Yield the lines of a text without their line ends: LF, CR LF or CR.

    `str.splitlines` also splits at form feeds and U+2028, which occur in captions and prompts.
    """
    at = 0
    for end in _LINE_END.finditer(text):
        yield text[at : end.start()]
        at = end.end()
    if at < len(text):
        yield text[at:]
