"""Images that a policy needs measures of and that have none yet.

Decoding and measuring an image costs more than its ingest, and most decisions do not depend on it.
So images are measured before they are decided, if the policy has rules on pixels or the lake
has lists of known hashes; new ones as they are ingested, see `measures.inline_measurer`. A policy
that decides copies together needs the PDQ hashes of images whose perceptual hashes are near, also
of those in the lake that the batch does not have.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from ...data.store.lake import Lake
from ..copies.groups import find_groups
from ..measures.measures import unmeasured
from .policy import Policy

MAX_OTHERS: Final = 2_000
"""Largest number of images outside the batch that a run measures: some 20 s of CPU time."""


def needs_measures(lake: Lake, policy: Policy) -> bool:
    """Return whether decisions of a policy depend on measures of pixels.

    Args:
        lake: Lake of the images, with its lists of known hashes.
        policy: Policy that decides.

    Raises:
        StoreError: The lake cannot be read.
    """
    return policy.copies == "together" or reads_all_measures(lake, policy)


def reads_all_measures(lake: Lake, policy: Policy) -> bool:
    """Return whether the decision of every image depends on its measures.

    Args:
        lake: Lake of the images, with its lists of known hashes.
        policy: Policy that decides.

    Raises:
        StoreError: The lake cannot be read.
    """
    return policy.pixels is not None or lake.version("known_hashes") is not None


def measures_pending(
    lake: Lake, policy: Policy, *, image_ids: pl.Series | None = None
) -> pl.DataFrame:
    """Return the images to measure before a policy decides, in the order of the stored bytes.

    Args:
        lake: Lake of the images, with its lists of known hashes.
        policy: Policy that decides.
        image_ids: Ids of the images to decide; None for all images of the lake. Under a policy
            that decides copies together, the leads of their groups are decided too, and at most
            `MAX_OTHERS` of the other members are measured at a time.

    Returns:
        Columns image_id, shard, row_group, row; no rows if no decision depends on measures.

    Raises:
        StoreError: The lake cannot be read.
    """
    reads_all = reads_all_measures(lake, policy)
    if image_ids is None and reads_all:
        return unmeasured(lake)
    none = pl.Series("image_id", [], dtype=pl.String)
    if policy.copies == "alone":
        return unmeasured(lake, image_ids if reads_all else none)
    # An image whose PDQ is unknown is in the group of what it is near to by its perceptual hash.
    groups = find_groups(lake, image_ids)
    if image_ids is None:
        return unmeasured(lake, groups["image_id"])
    mine = groups.filter(pl.col("image_id").is_in(image_ids.implode()))["image_id"]
    first = pl.concat([image_ids if reads_all else mine, groups["lead_id"]]).unique()
    pending = unmeasured(lake, first)
    others = groups.filter(~pl.col("image_id").is_in(first.implode()))["image_id"]
    more = unmeasured(lake, others).head(MAX_OTHERS)
    return pl.concat([pending, more]).sort("shard", "row_group", "row")
