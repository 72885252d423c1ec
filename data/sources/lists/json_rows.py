"""Rows in JSON: one value per line, concatenated values, or the elements of one array.

Text that is not JSON is skipped up to the next line that starts a value, and gives one row with a
problem.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from ...text.unicode import decode_escaped
from .list_files import raw_lines

_STEP_BYTES: Final = 2**18
_BETWEEN: Final = re.compile(r"[\s,\ufeff]*")
_NEXT_ROW: Final = re.compile(r"[\r\n]\s*(?=[{\"])")
_ARRAY_END: Final = re.compile(r"\s*\]\s*")
_DECODER: Final = json.JSONDecoder()


@dataclass(frozen=True, slots=True)
class JsonRow:
    """One value of a list in JSON, or a defect.

    Attributes:
        value: Parsed value, an object or a string in a valid list.
        problem: Description of the defect; None for a valid value.
        raw: Bytes of the value, with the line end if it is one line.
        offset: Offset of the value in the decompressed text, in bytes.
        n_bytes: Length of the value in bytes; larger than `raw` if it exceeds the limit.
    """

    value: Any
    problem: str | None
    raw: bytes
    offset: int
    n_bytes: int

    @property
    def is_cut(self) -> bool:
        """Whether the value exceeds the limit."""
        return self.n_bytes > len(self.raw)


def parse_json(raw: bytes) -> Any:
    """Return the value of one JSON text.

    Raises:
        ValueError: The text is not JSON, or is nested too deeply.
    """
    try:
        return json.loads(decode_escaped(raw.removeprefix(b"\xef\xbb\xbf")))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def json_rows(stream: io.BufferedReader, longest: int) -> Iterator[JsonRow]:
    """Yield the rows of a list in JSON.

    A file whose first line is a complete value is read line by line, any other as concatenated
    values or as one array.

    Args:
        stream: Decompressed UTF-8 text, see `list_files.open_list`.
        longest: Maximum length of a row in bytes.
    """
    head = stream.peek(_STEP_BYTES)
    if _begins_with_lines(head):
        yield from _rows_of_lines(stream, longest)
    else:
        yield from _rows_of_values(stream, longest)


def _begins_with_lines(head: bytes) -> bool:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    first, *rest = re.split(rb"[\r\n]", text, maxsplit=1)
    is_array = text.startswith(b"[")
    if not rest or not rest[0].strip():
        # A single line, or its beginning: an array on it is the list.
        return not is_array
    try:
        parse_json(first)
    except ValueError:
        # Either a value over several lines, or a damaged first line.
        if is_array or first.rstrip().endswith((b",", b"[", b"{", b":")):
            return False
    return True


def _rows_of_lines(stream: io.BufferedReader, longest: int) -> Iterator[JsonRow]:
    for line in raw_lines(stream, longest, is_json=True):
        if line.is_cut:
            yield JsonRow(None, None, line.raw, line.offset, line.n_bytes)
            continue
        if not line.raw.strip():
            continue
        try:
            value = parse_json(line.raw)
        except json.JSONDecodeError as error:
            if error.msg == "Extra data" and _holds_several(line.raw, error.pos):
                yield from _split_line(line.raw, line.offset)
            else:
                yield JsonRow(None, f"not JSON: {error}", line.raw, line.offset, line.n_bytes)
        except ValueError as error:
            yield JsonRow(None, f"not JSON: {error}", line.raw, line.offset, line.n_bytes)
        else:
            yield JsonRow(value, None, line.raw, line.offset, line.n_bytes)


def _holds_several(raw: bytes, at: int) -> bool:
    """Return whether an object is followed by another one on its line."""
    text = decode_escaped(raw.removeprefix(b"\xef\xbb\xbf"))
    return text.lstrip()[:1] == "{" and text[_skip(text, at) :][:1] == "{"


def _split_line(raw: bytes, offset: int) -> Iterator[JsonRow]:
    """Yield the values of a line with several, and a defect for trailing text."""
    text = decode_escaped(raw)
    at = 0
    while (start := _skip(text, at)) < len(text):
        try:
            value, at = _DECODER.raw_decode(text, start)
            problem = None
        except (ValueError, RecursionError) as error:
            value, at, problem = None, len(text), f"not JSON: {error}"
        part = _encoded(text[start:at])
        yield JsonRow(value, problem, part, offset + len(_encoded(text[:start])), len(part))


def _rows_of_values(stream: io.BufferedReader, longest: int) -> Iterator[JsonRow]:
    reader = _Values(stream, longest)
    reader.skip_opening()
    while (row := reader.next_row()) is not None:
        yield row


class _Values:
    """Parser of concatenated values in a stream, with a part of the text in memory."""

    def __init__(self, stream: io.BufferedReader, longest: int) -> None:
        self._stream, self._longest = stream, longest
        self._raw = b""
        self._text = ""
        self._at = self._offset = 0
        self._is_end = False

    def skip_opening(self) -> None:
        """Skip the opening bracket of an array, if there is one."""
        start = 0
        while start == len(self._text) and self._more():
            start = _skip(self._text, 0)
        if self._text[start : start + 1] == "[":
            start += 1
        self._advance(start)

    def next_row(self) -> JsonRow | None:
        """Return the next value or defect; None at the end."""
        while True:
            start = _skip(self._text, self._at)
            closing = _ARRAY_END.match(self._text, start)
            if closing is not None:
                start = closing.end()
                start += self._text[start : start + 1] == "["
            self._advance(start)
            if self._at < len(self._text):
                break
            if not self._more():
                return None
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except (ValueError, RecursionError) as error:
                if self._may_go_on(error) and self._more():
                    continue
                return self._damage(error)
            # A number or a literal may continue after the text in memory.
            if end < len(self._text) or not self._more():
                return self._row(value, None, end)

    def _may_go_on(self, error: Exception) -> bool:
        """Return whether the error may be due to text that is not read yet."""
        if not isinstance(error, json.JSONDecodeError):
            return False
        is_late = error.pos >= len(self._text) - 16 or error.msg.startswith("Unterminated string")
        return is_late and len(self._text) - self._at <= self._longest

    def _damage(self, error: Exception) -> JsonRow:
        place, raw = self._offset, _encoded(self._text[self._at : self._at + 4096])
        problem = f"not JSON at byte {place}: {getattr(error, 'msg', error)}"
        if len(self._text) - self._at > self._longest:
            problem = f"a value at byte {place} is longer than {self._longest} bytes"
        while (found := _NEXT_ROW.search(self._text, self._at)) is None:
            self._advance(max(self._at, len(self._text) - 1))
            if not self._more():
                self._advance(len(self._text))
                break
        else:
            self._advance(found.end())
        return JsonRow(None, problem, raw, place, self._offset - place)

    def _row(self, value: Any, problem: str | None, end: int) -> JsonRow:
        raw = _encoded(self._text[self._at : end])
        row = JsonRow(value, problem, raw, self._offset, len(raw))
        self._advance(end)
        return row

    def _advance(self, at: int) -> None:
        self._offset += len(_encoded(self._text[self._at : at]))
        self._at = at
        if self._at > _STEP_BYTES:
            self._text, self._at = self._text[self._at :], 0

    def _more(self) -> bool:
        """Read more text; return whether there was any."""
        if self._is_end:
            return False
        # Doubling, so that a long value is parsed few times.
        raw = self._stream.read(max(_STEP_BYTES, len(self._text) - self._at))
        self._is_end = not raw
        self._raw += raw
        n_whole = len(self._raw) if self._is_end else _whole(self._raw)
        self._text = self._text[self._at :] + decode_escaped(self._raw[:n_whole])
        self._at, self._raw = 0, self._raw[n_whole:]
        return not self._is_end


def _whole(raw: bytes) -> int:
    """Return the length of the longest prefix that ends with a complete UTF-8 character."""
    for n_left in range(1, min(4, len(raw)) + 1):
        byte = raw[-n_left]
        if byte < 0x80:
            return len(raw) - n_left + 1
        if byte >= 0xC0:
            n_wanted = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return len(raw) if n_wanted == n_left else len(raw) - n_left
    return len(raw)


def _skip(text: str, at: int) -> int:
    found = _BETWEEN.match(text, at)
    return found.end() if found else at


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
