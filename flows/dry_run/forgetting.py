"""Dry run of `forget`."""

from __future__ import annotations

from collections.abc import Iterable

from ...data.store.lake import Lake
from ...tasks.lake.forget import checked_ids, n_rows_of, reports_that_may_show
from .effects import Effect, Effects


def forget_effects(lake: Lake, image_ids: Iterable[str]) -> Effects:
    """Return the effects of forgetting images.

    Args:
        lake: Lake of the images.
        image_ids: Ids of the images.

    Raises:
        ConfigError: There is no id.
        InputError: A text is no id, or not that of an image of the lake.
        StoreError: The lake cannot be read.
    """
    ids = checked_ids(lake, image_ids)
    n_shards = len(lake.store.files("shards"))
    rows = [
        Effect(n, f"rows of {table} to remove", lake.path("tables", table))
        for table, n in n_rows_of(lake, ids).items()
    ]
    reports = [
        Effect(1, "report to delete", lake.path(name)) for name in reports_that_may_show(lake, ids)
    ]
    return Effects(
        reads=[Effect(n_shards, "shards to look into", lake.path("shards"), at_most=True)],
        writes=[
            Effect(len(ids), "images to forget", lake.uri),
            *rows,
            Effect(len(ids), "shards to write again", lake.path("shards"), at_most=True),
            *reports,
        ],
    )
