"""The differences between two datasets as text."""

from __future__ import annotations

from typing import Any, Final

from ...data.errors import shorten
from .compare import Difference, Kind

_WORDS: Final = {
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
    lines = [f"a           {found.a}", f"            {found.n_a:,} images"]
    lines += [f"b           {found.b}", f"            {found.n_b:,} images"]
    for name, (before, after) in found.settings.items():
        lines.append(f"setting     {name}: {_value(before)} -> {_value(after)}")
    for kind in Kind:
        lines.append(f"{_WORDS[kind]:<11} {found.count(kind):,}")
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


def _value(value: Any) -> str:
    if value is None:
        return "none"
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
