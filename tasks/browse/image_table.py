"""Images of a lake as a table of text, and as plain values."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ...data.commands import command
from ...data.store.lake import Lake
from ...data.text.wording import counted
from ..pages.captions import score_text
from .filters import NONE, Filters
from .images import Listed, Scope, count_images, domains_of
from .table_text import Column, draw_table

_COLUMNS = (
    Column(name="image"),
    Column(name="decision"),
    Column(name="score", is_right=True),
    Column(name="reasons", hide=3),
    Column(name="domain", hide=1),
    Column(name="label", hide=2),
    Column(name="source"),
)
_ID_CHARS = 12


def draw_images(
    lake: Lake, scope: Scope, filters: Filters, listed: Listed, *, width: int | None
) -> str:
    """Return a table of images for a terminal, with the total.

    Args:
        lake: Lake of the images.
        scope: Images, score key and policy.
        filters: Conditions on the images.
        listed: Images to show.
        width: Line width in cells; None for no limit.
    """
    if not listed.rows and not (n_images := count_images(lake)):
        start = command("moderate", "SOURCE", lake=lake.uri)
        return f"{lake.uri} has no images yet\nnext\n  {start}"
    if not listed.rows:
        within = f"run {scope.run_id}" if scope.run_id else lake.uri
        if filters.is_empty:
            return f"{within} has no images; the lake has {_images(n_images)}"
        known = ""
        if filters.domains:
            known = f"; domains: {', '.join(domains_of(lake, scope)) or NONE}"
        count = _images(n_images)
        return f"no image of {within} matches these filters; the lake has {count}{known}"
    rows = [
        (
            row["image_id"][:_ID_CHARS],
            row["decision"] or "-",
            score_text(row["prob_fake"]),
            ", ".join(row["reasons"] or ()) or "-",
            row["domain"] or "-",
            row["label"] or "-",
            row["source_uri"] or "-",
        )
        for row in listed.rows
    ]
    count = _images(listed.n_matching)
    if len(rows) < listed.n_matching:
        count = f"{len(rows):,} of {count}; --limit shows more, assay export writes all to a file"
    return "\n".join([draw_table(_COLUMNS, rows, width=width), count, scope.describe()])


def images_json(lake: Lake, scope: Scope, listed: Listed, *, limit: int) -> dict[str, Any]:
    """Return images as plain values."""
    return {
        "lake": lake.uri,
        "run_id": scope.run_id,
        "batch_id": scope.batch_id,
        "key": None if scope.key is None else scope.key.as_row(),
        "policy_id": scope.policy_id,
        "total": listed.n_matching,
        "limit": limit,
        "images": [_plain(row) for row in listed.rows],
    }


def _images(n: int) -> str:
    return counted(n, "image")


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in row.items()
    }
