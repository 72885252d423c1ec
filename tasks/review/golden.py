"""Golden items: images of known label that are mixed into the queue to measure reviewers."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

import polars as pl

from ...data.errors import InputError
from ...data.schema import TABLES
from ...data.store.lake import Lake
from ...data.text.wording import shown
from ...data.vocabulary import Label
from .answer import require_reviewer

GOLDEN_LABELS = tuple(label.value for label in Label if label is not Label.UNSURE)


def golden_items(lake: Lake, *, only_active: bool = True) -> pl.DataFrame:
    """Return the golden items, one row per image, ordered by id.

    Args:
        lake: Lake of the images.
        only_active: Whether images that are golden no longer are left out.

    Returns:
        Columns of the table `golden`.

    Raises:
        StoreError: The table cannot be read.
    """
    rows = (
        lake.scan("golden")
        .select(TABLES["golden"].names)
        .sort("set_at", maintain_order=True)
        .unique("image_id", keep="last", maintain_order=True)
        .sort("image_id")
        .collect()
    )
    return rows.filter("is_active") if only_active else rows


def set_golden(lake: Lake, image_ids: Sequence[str], *, label: str, by: str) -> list[str]:
    """Make images golden items of a label, in one commit.

    Args:
        lake: Lake of the images.
        image_ids: Ids of the images.
        label: Known label: real, fake or laundered.
        by: Name of the person who knows it.

    Returns:
        Ids of the images that changed; those that had the label already are left as they are.

    Raises:
        InputError: An image is unknown, the label is none, or the name is not allowed; nothing is
            changed.
        StoreError: The lake cannot be read or written.
    """
    if label not in GOLDEN_LABELS:
        raise InputError(f"label {shown(label)} is unknown; allowed: {', '.join(GOLDEN_LABELS)}")
    require_reviewer(by)
    require_known(lake, image_ids)
    same = set(golden_items(lake).filter(pl.col("label") == label)["image_id"])
    changed = [image_id for image_id in dict.fromkeys(image_ids) if image_id not in same]
    _append(lake, [(image_id, label, True) for image_id in changed], by)
    return changed


def remove_golden(lake: Lake, image_ids: Sequence[str], *, by: str) -> list[str]:
    """Make images golden no longer, in one commit, and return the ids of those that were.

    Args:
        lake: Lake of the images.
        image_ids: Ids of the images.
        by: Name of the person who decides it.

    Raises:
        InputError: The name is not allowed; nothing is changed.
        StoreError: The lake cannot be read or written.
    """
    require_reviewer(by)
    labels = dict(golden_items(lake).select("image_id", "label").iter_rows())
    removed = [image_id for image_id in dict.fromkeys(image_ids) if image_id in labels]
    _append(lake, [(image_id, labels[image_id], False) for image_id in removed], by)
    return removed


def require_known(lake: Lake, image_ids: Sequence[str]) -> None:
    """Refuse ids of images that a lake does not have.

    Raises:
        InputError: An id is unknown.
        StoreError: The lake cannot be read.
    """
    known = lake.has_rows_of("images", sorted(set(image_ids)))
    if unknown := sorted(set(image_ids) - known):
        raise InputError(
            f"{lake.uri} has no image {unknown[0]} ({len(unknown):,} of {len(set(image_ids)):,}"
            " are unknown); nothing was changed; `assay ls` lists its images"
        )


def _append(lake: Lake, rows: Sequence[tuple[str, str, bool]], by: str) -> None:
    now = datetime.now(UTC)
    if rows:
        lake.append(
            "golden",
            [
                {
                    "image_id": image_id,
                    "label": label,
                    "set_by": by,
                    "set_at": now,
                    "is_active": is_active,
                }
                for image_id, label, is_active in rows
            ],
            txn=f"golden:{uuid.uuid4().hex}",
        )
