"""Images that a policy needs measures of and that have none yet.

Decoding and measuring an image costs more than its ingest, and most decisions do not depend on it.
So images are measured before they are decided, if the policy has rules on pixels or the lake
has lists of known hashes.
"""

from __future__ import annotations

import polars as pl

from ...data.store.lake import Lake
from ..copies.groups import find_groups
from ..measures.measures import unmeasured
from .policy import Policy


def needs_measures(lake: Lake, policy: Policy) -> bool:
    """Return whether decisions of a policy depend on measures of pixels.

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
            that decides copies together, the leads of their groups are decided too.

    Returns:
        Columns image_id, shard, row_group, row; no rows if no decision depends on measures.

    Raises:
        StoreError: The lake cannot be read.
    """
    if not needs_measures(lake, policy):
        return unmeasured(lake, pl.Series("image_id", [], dtype=pl.String))
    if image_ids is not None and policy.copies == "together":
        leads = find_groups(lake, image_ids)["lead_id"]
        image_ids = pl.concat([image_ids, leads]).unique()
    return unmeasured(lake, image_ids)
