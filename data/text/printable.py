"""External text made safe for terminals and logs: control characters become visible escapes."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

# Control and format characters (escape codes, text direction), surrogates, and line separators
# other than "\n". Joiners stay: some scripts and emoji sequences need them.
_STEERING: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
_HARMLESS: Final = frozenset("\n\t\u200c\u200d")
_PLAIN: Final = re.compile(r"[\n\t\x20-\x7e]*")


def printable(text: str) -> str:
    """Return the text with control characters replaced by visible escapes.

    Newlines, tabs and all visible characters stay.
    """
    if _PLAIN.fullmatch(text):
        return text
    return "".join(_shown(sign) for sign in text)


def _shown(sign: str) -> str:
    if sign in _HARMLESS or unicodedata.category(sign) not in _STEERING:
        return sign
    code = ord(sign)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
