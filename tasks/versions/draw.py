"""The differences between two datasets as text."""

from __future__ import annotations

from typing import Any, Final

from ...data.errors import shorten
from ...data.text.wording import counted
from .compare import Difference, Kind

WORDS: Final = {
    Kind.ADDED: "added",
    Kind.REMOVED: "removed",
    Kind.RELABELLED: "relabelled",
    Kind.REDECIDED: "re-decided",
    Kind.RESPLIT: "re-split",
}
_PLACES: Final = {Kind.ADDED: "to", Kind.REMOVED: "from"}


def draw(found: Difference) -> str:
    """Return the differences as text: settings, then counts, each with some ids.

    Args:
        found: Differences between two datasets.
    """
    lines = [f"a           {found.a}", f"            {counted(found.n_a, 'image')}"]
    lines += [f"b           {found.b}", f"            {counted(found.n_b, 'image')}"]
    lines += [f"note        {note}" for note in found.notes]
    for name, (before, after) in found.settings.items():
        lines.append(f"setting     {name}: {value_text(before)} -> {value_text(after)}")
    for kind in Kind:
        lines.append(f"{WORDS[kind]:<11} {found.count(kind):,}")
        for move in (move for move in found.moves if move.kind is kind):
            if kind in _PLACES:
                what = f"{_PLACES[kind]} {move.after or move.before}"
            else:
                what = f"{move.before} -> {move.after}"
            ids = ", ".join(shorten(image_id)[:12] for image_id in move.examples)
            more = ", ..." if move.n > len(move.examples) else ""
            lines.append(f"  {what:<24} {move.n:>9,}   {ids}{more}")
    lines.append(f"unchanged   {found.n_unchanged:,}")
    return "\n".join(lines)


def value_text(value: Any) -> str:
    """Return the value of a setting in words."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return shorten(_items(value, " ") or "all images", 100)
    return shorten(str(value), 100)


def _items(values: dict[str, Any], between: str) -> str:
    """Return the settings that are given; lists of them are counts of what these did."""
    return ", ".join(
        f"{name}{between}{_items(one, '=') if isinstance(one, dict) else one}"
        for name, one in values.items()
        if one and not isinstance(one, list)
    )
