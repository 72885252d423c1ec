"""The table `known_hashes`, and which images match an entry of it."""

from __future__ import annotations

import re
import threading
from datetime import UTC, datetime
from typing import Final

import numpy as np
import polars as pl

from ...data.errors import InputError, MissingVersion
from ...data.store.lake import Lake
from ...data.text.wording import shown
from ...data.vocabulary import Decision
from .index import HashIndex, words_of
from .kept_index import MIN_ROWS, Covered, keep, open_kept

KNOWN: Final = {"image_id": pl.String, "known": pl.String}
"""Columns of `known_decisions`."""
_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
_TABLE: Final = "known_hashes"
_ROWS_PER_COMMIT: Final = 1_000_000
# One index of the latest lake, which a run and a server ask again and again.
_kept: dict[str, Covered] = {}
_lock: Final = threading.Lock()
_NOTHING: Final = Covered(
    index=HashIndex(), is_flag=np.empty(0, bool), version=-1, files=frozenset()
)


def add_hashes(
    lake: Lake,
    rows: pl.DataFrame,
    *,
    list_name: str,
    decision: Decision,
    now: datetime | None = None,
) -> int:
    """Add the hashes that a list does not have yet, in one commit; return their number.

    Args:
        lake: Lake of the table.
        rows: Columns hash (64 hex digits, lower case) and note.
        list_name: Name of the list.
        decision: Decision on an image that matches: `review` or `flag`.
        now: Time of the addition; None for the present.

    Raises:
        StoreError: The lake cannot be read or written.
    """
    fresh = missing_hashes(lake, rows, list_name=list_name, decision=decision)
    if fresh.height:
        added = fresh.with_columns(
            list_name=pl.lit(list_name),
            decision=pl.lit(decision.value),
            added_at=pl.lit(now or datetime.now(UTC)).dt.cast_time_unit("us"),
        )
        content = added.select(pl.col("hash").hash(1).sum()).item()
        txn = f"hashes:{list_name}:{decision.value}:{fresh.height}:{content}"
        lake.append(_TABLE, added, txn=txn)
    return fresh.height


def check_list_name(name: str) -> None:
    """Refuse a name that is no name of a list.

    Raises:
        InputError: The name is not of the form that the message gives.
    """
    if not re.fullmatch(_NAME, name):
        raise InputError(
            f"list is {shown(name)}; allowed: 1 to 64 letters, digits, '.', '_' or '-', a letter or"
            " digit first"
        )


def missing_hashes(
    lake: Lake, rows: pl.DataFrame, *, list_name: str, decision: Decision
) -> pl.DataFrame:
    """Return the hashes that a list does not have yet with a decision, each once."""
    mine = (pl.col("list_name") == list_name) & (pl.col("decision") == decision.value)
    known = lake.scan(_TABLE).filter(mine).select("hash")
    return (
        rows.lazy()
        .unique("hash", keep="first", maintain_order=True)
        .join(known, on="hash", how="anti", maintain_order="left")
        .collect()
    )


def hashes_of(lake: Lake, list_name: str | None = None) -> pl.LazyFrame:
    """Return the entries of a list, or of all lists, the latest row of each hash and list."""
    rows = lake.scan(_TABLE)
    if list_name is not None:
        rows = rows.filter(pl.col("list_name") == list_name)
    return rows.sort("added_at", maintain_order=True).unique(
        ["list_name", "hash"], keep="last", maintain_order=True
    )


def lists_of(lake: Lake) -> pl.DataFrame:
    """Return name, number of hashes, decisions and time of the last addition of each list."""
    return (
        hashes_of(lake)
        .group_by("list_name")
        .agg(
            n_hashes=pl.len(),
            n_flag=(pl.col("decision") == Decision.FLAG.value).sum(),
            added_at=pl.col("added_at").max(),
        )
        .sort("list_name")
        .collect()
    )


def known_decisions(lake: Lake, images: pl.DataFrame) -> pl.DataFrame:
    """Return the decision of the known hashes on each image that matches one.

    Args:
        lake: Lake of the known hashes.
        images: Columns image_id and pdq, from `measures`; null: unknown, matches nothing.

    Returns:
        Columns image_id and known: `flag` if any match says so, else `review`.

    Raises:
        StoreError: The lake cannot be read.
    """
    matched = pl.DataFrame(schema=KNOWN)
    version = lake.version(_TABLE)
    # An interrupted ingest may leave two rows of one image.
    hashed = images.drop_nulls("pdq").unique("image_id")
    if version is None or hashed.is_empty():
        return matched
    covered = _index_of(lake, version)
    found = covered.index.find(words_of(hashed["pdq"].to_list()))
    rows = [
        (image_id, (Decision.FLAG if covered.is_flag[near].any() else Decision.REVIEW).value)
        for image_id, near in zip(hashed["image_id"], found, strict=True)
        if len(near)
    ]
    return pl.DataFrame(rows, schema=matched.schema, orient="row")


def _index_of(lake: Lake, version: int) -> Covered:
    """Return the index of all entries at a version of the table.

    Only what was added since the index of this process, or else of this machine, is read and
    sorted. An index of entries that the table no longer has is of no use.
    """
    with _lock:
        kept = _kept.get(lake.uri)
        if kept is not None and kept.version == version:
            return kept
        files = frozenset(lake.tables.at(_TABLE, version).file_uris())
        found = _usable(kept, version, files) or _usable(open_kept(lake.uri), version, files)
        found = found or _NOTHING
        n_before = len(found.index)
        grown = _grown(lake, found, version, files)
        if len(grown.index) - n_before >= max(MIN_ROWS, n_before // 8):
            keep(lake.uri, grown)
        _kept.clear()
        _kept[lake.uri] = grown
        return grown


def _usable(covered: Covered | None, version: int, files: frozenset[str]) -> Covered | None:
    is_part = covered is not None and covered.version <= version and covered.files <= files
    return covered if is_part else None


def _grown(lake: Lake, found: Covered, version: int, files: frozenset[str]) -> Covered:
    """Return an index with what was added to the table up to a version."""
    try:
        rows = lake.added(_TABLE, found.version if found.files else None, version)
    except MissingVersion:  # the log of the earlier version was removed
        found, rows = _NOTHING, lake.scan(_TABLE, version)
    # Other threads may look up in the index as it was.
    index = found.index.copy()
    flags = [found.is_flag]
    for part in rows.select("hash", "decision").collect().iter_slices(_ROWS_PER_COMMIT):
        index.add(words_of(part["hash"].to_list()))
        flags.append((part["decision"] == Decision.FLAG.value).to_numpy())
    return Covered(index=index, is_flag=np.concatenate(flags), version=version, files=files)
