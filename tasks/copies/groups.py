"""Groups of copies, and one decision for each.

A group is an image and the images within 6 bits of its perceptual hash, and within 64 bits of its
PDQ. One whose PDQ is not measured joins, and `decide.measures_pending` names it to be measured. The
best preserved image, by pixels and then by bytes, is the first lead; what is near to it is in its
group; then the next one that is in none. So every member is near to its lead, and no chain joins
what is not alike.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl

from ...data.images.inspect_image import UPRIGHT_PIXELS
from ...data.store.lake import Lake
from ...data.store.lookup import numbers_by_files, rows_at
from ...data.vocabulary import Decision, DecisionReason, Label
from ..labels import CLASSES, standing
from ..latest_rows import Named
from ..measures.measures import measures_of
from .near_duplicates import MAX_DISTANCE, Hashes, Pairs, close_pairs, parse_hashes

GROUPS: Final = {"image_id": pl.String, "group_id": pl.String, "lead_id": pl.String}
"""Columns of `groups_of`."""
MAX_PDQ_DISTANCE: Final = 64
"""Largest number of differing bits, of 256; docs/decisions.md has what it was measured on."""
_COLUMNS: Final = ("image_id", "phash", "phash_of", "width_px", "height_px", "n_bytes")
# Comparisons at a time: 32 MB of differences.
_AT_A_TIME: Final = 2**22
# Comparisons, a few seconds of them, from which a pass over all pairs of the lake is cheaper.
_FEW: Final = 2_000_000_000
# Different images of one perceptual hash, such as those of one colour, have different PDQs.
_MAX_ROUNDS: Final = 8


def find_groups(lake: Lake, image_ids: pl.Series | None) -> pl.DataFrame:
    """Return the groups of some images, with their members in the whole lake.

    The cost of a few images is a pass over 8 bytes per image of the lake. Of a chain of images, of
    which each is near to the next one, only those near to the given ones are looked at.

    Args:
        lake: Lake of the images.
        image_ids: Ids of the images; None for all images of the lake.

    Returns:
        See `groups_of`.

    Raises:
        StoreError: The lake cannot be read.
    """
    if image_ids is None or len(image_ids) * lake.n_rows("images") > _FEW:
        images = lake.scan("images").select(_COLUMNS).collect()
        measured = measures_of(lake)
    else:
        mine = lake.rows_of("images", image_ids).select(_COLUMNS).collect()
        images = pl.concat([mine, *_near_rows(lake, mine)])
        measured = measures_of(lake, Named(ids=tuple(images["image_id"])))
    upright = images.filter(pl.col("phash_of") == UPRIGHT_PIXELS).unique("image_id")
    pdqs = measured.select("image_id", "pdq").collect()
    return groups_of(upright.join(pdqs, on="image_id", how="left"))


def _near_rows(lake: Lake, mine: pl.DataFrame) -> list[pl.DataFrame]:
    """Return the rows of the images near to some, from the data files that have any."""
    version = lake.version("images")
    wanted = np.unique(parse_hashes(mine["phash"]))
    out = []
    for files, numbers, order in numbers_by_files(lake.tables, "images", "phash", version):
        at = _near(np.asarray(numbers), wanted)
        if len(at):
            rows = lake.tables.rows_in("images", files, version).select(_COLUMNS)
            out.append(rows_at(rows, at if order is None else np.asarray(order)[at]))
    return out


def _near(numbers: Hashes, wanted: Hashes) -> Hashes:
    """Return the positions of the numbers near to any wanted one."""
    is_near = np.zeros(len(numbers), dtype=bool)
    step = max(1, _AT_A_TIME // max(1, len(numbers)))
    for start in range(0, len(wanted), step):
        some = wanted[start : start + step, None]
        is_near |= (np.bitwise_count(numbers[None] ^ some) <= MAX_DISTANCE).any(axis=0)
    return np.flatnonzero(is_near).astype(np.uint64)


def groups_of(images: pl.DataFrame) -> pl.DataFrame:
    """Return the group of each image that has a copy.

    Images that are near to a lead by the one hash and not by the other are compared again among
    themselves, up to 8 times, and are in no group after that.

    Args:
        images: Columns image_id (distinct), phash, pdq (null: unknown), width_px, height_px and
            n_bytes.

    Returns:
        Columns image_id, group_id and lead_id, the id of the best preserved member.
    """
    pdqs = images.select("image_id", "pdq")
    out = [pl.DataFrame(schema=GROUPS)]
    left = images
    for _ in range(_MAX_ROUNDS):
        if left.is_empty():
            break
        near = _near_by_phash(left)
        is_copy = _are_near_by_pdq(near, pdqs)
        copies = near.filter(is_copy).filter(pl.len().over("lead_id") > 1)
        group_id = pl.lit("g-") + pl.col("lead_id").str.head(16)
        out.append(copies.with_columns(group_id=group_id).select(list(GROUPS)))
        left = left.join(near.filter(~is_copy), on="image_id", how="semi")
    return pl.concat(out)


def _near_by_phash(images: pl.DataFrame) -> pl.DataFrame:
    """Return image_id and lead_id of the images that share a lead with others, and of the lead."""
    n_pixels = pl.col("width_px").cast(pl.Int64) * pl.col("height_px")
    # Best preserved first, so that positions are the order of the leads.
    best = images.with_columns(n_pixels=n_pixels).sort(
        ["n_pixels", "n_bytes", "image_id"], descending=[True, True, False]
    )
    hashes, first, node = np.unique(
        parse_hashes(best["phash"]), return_index=True, return_inverse=True
    )
    left, right = _edges(hashes)
    lead = np.arange(len(hashes))
    is_free = np.ones(len(hashes), dtype=bool)
    begin = np.searchsorted(left, np.arange(len(hashes) + 1))
    linked = np.unique(left)
    for one in linked[np.argsort(first[linked])]:
        if is_free[one]:
            near = right[begin[one] : begin[one + 1]]
            near = near[is_free[near]]
            lead[near] = one
            is_free[near] = is_free[one] = False
    ids = best["image_id"]
    groups = pl.DataFrame({"image_id": ids, "lead_id": ids.gather(first[lead[node]])})
    return groups.filter(pl.len().over("lead_id") > 1)


def _are_near_by_pdq(near: pl.DataFrame, pdqs: pl.DataFrame) -> pl.Series:
    """Return whether the PDQ of each image is near to that of its lead; True where it is unknown.

    Args:
        near: Columns image_id and lead_id.
        pdqs: Columns image_id and pdq.
    """
    both = near.join(pdqs, on="image_id", how="left", maintain_order="left").join(
        pdqs.select(lead_id="image_id", lead_pdq="pdq"),
        on="lead_id",
        how="left",
        maintain_order="left",
    )
    is_known = both["pdq"].is_not_null() & both["lead_pdq"].is_not_null()
    known = both.filter(is_known)
    n_bits = np.bitwise_count(_bits(known["pdq"]) ^ _bits(known["lead_pdq"])).sum(axis=1)
    is_near = np.ones(near.height, dtype=bool)
    is_near[is_known.to_numpy()] = n_bits <= MAX_PDQ_DISTANCE
    return pl.Series(is_near, dtype=pl.Boolean)


def _bits(pdq: pl.Series) -> Hashes:
    """Return hashes of 64 hex digits as four numbers each, shape (N, 4)."""
    raw = b"".join(pdq.str.decode("hex").to_list())
    return np.frombuffer(raw, np.uint64).reshape(-1, 4)


def _edges(hashes: Hashes) -> Pairs:
    """Return both directions of all close pairs, sorted by the first end."""
    pairs = list(close_pairs(hashes, max_distance=MAX_DISTANCE))
    none = np.empty(0, np.int64)
    low = np.concatenate([none, *(pair[0] for pair in pairs)])
    high = np.concatenate([none, *(pair[1] for pair in pairs)])
    left, right = np.concatenate([low, high]), np.concatenate([high, low])
    order = np.argsort(left, kind="stable")
    return left[order], right[order]


def labels_of(reviews: pl.LazyFrame, groups: pl.DataFrame) -> pl.DataFrame:
    """Return the label that the reviewed members of each group agree on.

    Args:
        reviews: Rows of the table `reviews` about the members.
        groups: Groups of `groups_of`.

    Returns:
        Columns group_id and label; groups without an agreed label are left out.
    """
    return (
        standing(reviews)
        .filter(pl.col("label").is_in(CLASSES))
        .join(groups.lazy(), on="image_id")
        .group_by("group_id")
        .agg(label=pl.col("label").first(), n=pl.col("label").n_unique())
        .filter(pl.col("n") == 1)
        .select("group_id", "label")
        .collect()
    )


def together(
    decided: pl.DataFrame, leads: pl.DataFrame, groups: pl.DataFrame, labels: pl.DataFrame
) -> pl.DataFrame:
    """Return decisions with those of groups in the place of single ones.

    A label of a reviewed member decides for the group: real clears, fake and laundered flag. Else
    the lead decides. What a known hash decides stays.

    Args:
        decided: Columns image_id, decision and reasons; others are kept.
        leads: Columns image_id and decision of the leads.
        groups: Groups of `groups_of`.
        labels: Labels of `labels_of`.

    Returns:
        The same rows in the same order with `group_id`; a changed decision has its reason first.
    """
    by_label = (
        pl.when(pl.col("label") == Label.REAL.value)
        .then(pl.lit(Decision.CLEAR.value))
        .when(pl.col("label").is_not_null())
        .then(pl.lit(Decision.FLAG.value))
    )
    is_known = pl.col("reasons").list.contains(DecisionReason.KNOWN_HASH.value)
    joined = (
        decided.join(groups, on="image_id", how="left", maintain_order="left")
        .join(labels, on="group_id", how="left", maintain_order="left")
        .join(
            leads.select(lead_id="image_id", of_lead="decision"),
            on="lead_id",
            how="left",
            maintain_order="left",
        )
        .with_columns(now=pl.when(~is_known).then(pl.coalesce(by_label, "of_lead")))
        .with_columns(is_other=(pl.col("now") != pl.col("decision")).fill_null(value=False))
    )
    reason = (
        pl.when(pl.col("label").is_not_null())
        .then(pl.lit(DecisionReason.GROUP_OF_REVIEWED.value))
        .otherwise(pl.lit(DecisionReason.DECIDED_BY_GROUP.value))
    )
    return joined.with_columns(
        decision=pl.when("is_other").then("now").otherwise("decision"),
        reasons=pl.when("is_other").then(pl.concat_list(reason, "reasons")).otherwise("reasons"),
    ).select(*decided.columns, "group_id")
