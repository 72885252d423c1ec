"""The check of a reviewer's name."""

from __future__ import annotations

from typing import Final

MAX_NAME_CHARS: Final = 200


def problem_with_name(name: str) -> str | None:
    """Return what is wrong with a reviewer's name, or None."""
    if not name.strip():
        return "The name is empty. It is stored with every answer."
    if len(name) > MAX_NAME_CHARS:
        return f"The name has {len(name):,} characters; allowed: 1 to {MAX_NAME_CHARS}."
    if not name.isprintable():
        return "The name has line breaks or signs that cannot be seen; allowed: one line of text."
    return None
