"""Text from outside made fit for a terminal and a log: nothing in it steers what is shown."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

# Control and format characters (escape codes, text direction), halves of characters, line ends
# that are not "\n". Joiners stay: some scripts, and most families of emoji, need them.
_STEERING: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
_HARMLESS: Final = frozenset("\n\t\u200c\u200d")
_PLAIN: Final = re.compile(r"[\n\t\x20-\x7e]*")


def printable(text: str) -> str:
    """Return the text with every character that steers a terminal written as a visible escape.

    Line ends, tabs and all visible characters stay.
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
