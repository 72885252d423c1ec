"""Names and scores of images on pages: short, without secrets, safe from text direction marks."""

from __future__ import annotations

import unicodedata
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import unquote

from ...data.source_paths import path_of_uri
from ...data.text.redaction import redact_text

# Shapes beside the colours, for readers who cannot tell the colours apart.
SIGNS: Final = {"clear": "●", "review": "◆", "flag": "▲"}
_URI_CHARS: Final = 160


def score_text(prob: float | None) -> str:
    """Return a score with three decimals; only exactly 0 and 1 are shown as 0.000 and 1.000."""
    if prob is None:
        return "no score"
    if 0 < prob < 0.0005:
        return "<0.001"
    if 0.9995 <= prob < 1:
        return ">0.999"
    return f"{prob:.3f}"


def short_name(source_uri: str | None) -> str:
    """Return the short name of an item: the last part of its path, or its row in a table."""
    if not source_uri:
        return "unnamed"
    container, _, member = source_uri.rpartition("!")
    if container and member.isdigit():
        return f"{short_name(container)} row {member}"
    path = member if container else path_of_uri(source_uri.replace("#", "%23"))
    return visible(PurePosixPath(unquote(path)).name or source_uri)


def visible(text: str) -> str:
    """Return a text with secrets of URLs hidden and control and format characters replaced.

    Rows of older lakes may hold secrets. Format characters, such as the right-to-left override,
    can make a name look like another one.
    """
    return "".join(
        "�" if unicodedata.category(sign) in {"Cc", "Cf"} else sign for sign in redact_text(text)
    )


def cut(text: str) -> str:
    """Return an address in at most 160 characters, shortened in its middle."""
    text = visible(text)
    if len(text) <= _URI_CHARS:
        return text
    return f"{text[:40]}…{text[-(_URI_CHARS - 41) :]}"
