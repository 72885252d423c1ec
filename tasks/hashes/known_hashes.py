"""The table `known_hashes`, and which images match an entry of it."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

import polars as pl

from ...data.errors import InputError
from ...data.schema import Decision
from ...data.store.lake import Lake
from ...data.text.wording import shown
from .index import HashIndex, words_of

KNOWN: Final = {"image_id": pl.String, "known": pl.String}
"""Columns of `known_decisions`."""
_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
_TABLE: Final = "known_hashes"
_ROWS_PER_COMMIT: Final = 1_000_000
# One index of the latest lake, which a run and a server ask again and again.
_kept: dict[str, tuple[int, HashIndex, pl.DataFrame]] = {}
_lock: Final = threading.Lock()


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
    index, entries = _index_of(lake, version)
    found = index.find(words_of(hashed["pdq"].to_list()))
    is_flag = entries["decision"] == Decision.FLAG.value
    rows = [
        (image_id, (Decision.FLAG if is_flag[near].any() else Decision.REVIEW).value)
        for image_id, near in zip(hashed["image_id"], found, strict=True)
        if len(near)
    ]
    return pl.DataFrame(rows, schema=matched.schema, orient="row")


def _index_of(lake: Lake, version: int) -> tuple[HashIndex, pl.DataFrame]:
    """Return the index of all entries at a version of the table, and their decisions in order."""
    with _lock:
        kept = _kept.get(lake.uri)
        if kept is None or kept[0] > version:
            kept = (-1, HashIndex(), pl.DataFrame(schema={"decision": pl.String}))
        since, index, entries = kept
        if since < version:
            # Only what was added since is read and sorted.
            rows = lake.scan(_TABLE, version) if since < 0 else lake.added(_TABLE, since, version)
            for part in _parts(rows.select("hash", "decision").collect()):
                index.add(words_of(part["hash"].to_list()))
                entries = pl.concat([entries, part.select("decision")])
            _kept.clear()
            _kept[lake.uri] = (version, index, entries)
        return index, entries


def _parts(rows: pl.DataFrame) -> Iterator[pl.DataFrame]:
    return rows.iter_slices(_ROWS_PER_COMMIT)
