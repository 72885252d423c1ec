"""The result of an import as text for a terminal."""

from __future__ import annotations

from ...data.text.wording import counted
from .import_answers import Import


def draw_import(done: Import) -> str:
    """Return what an import recorded and what it left out, one line each."""
    lines = [
        f"recorded    {counted(len(done.answers), 'answer')} from {done.file} ({done.format})",
        f"            {done.n_known:,} were recorded before",
    ]
    if done.unknown:
        lines.append(
            f"            {len(done.unknown):,} are about images that the lake does not have"
        )
    lines += [f"            {n:,} {what}" for what, n in sorted(done.left_out.items())]
    return "\n".join(lines)
