"""Pages of a table by keyset: each page begins after the last row of the one before.

The order is by one number and then by id. No row that was there from the first page to the last is
given twice or left out, however many rows are added meanwhile. A page costs one pass over the
numbers of the matching rows, not a sort of them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ...data.errors import ConfigError
from ...data.text.wording import counted, did_you_mean
from .conditions import Conditions, Met, met_by

Sort = Literal["newest", "oldest", "highest", "lowest", "nearest", "id"]

SORTS: Final[Mapping[str, str]] = {
    "newest": "latest sighting first",
    "oldest": "earliest sighting first",
    "highest": "highest score first",
    "lowest": "lowest score first",
    "nearest": "score nearest to 0.5 first",
    "id": "by id",
}
"""Orders with their texts; images without the value come last."""

MAX_ROWS: Final = 500
_CURSOR: Final = re.compile(r"(-?[0-9][0-9.e+-]*|end):([0-9a-f]{64})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """Place of a row in an order: its number in ascending order, and its id.

    Attributes:
        key: Number of the row; infinite for a row without the value.
        image_id: Id of the image.
    """

    key: float
    image_id: str

    def __str__(self) -> str:
        """Return the cursor as it stands in an address."""
        return f"{'end' if math.isinf(self.key) else repr(self.key)}:{self.image_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Rows of one page.

    Attributes:
        rows: Rows of the table, in order.
        n_matching: Number of all matching rows.
        n_before: Number of matching rows before the page.
        next: Cursor of the last row, for the page after this one; None for the last page.
        previous: Cursor of the first row, for the page before this one; None for the first page.
    """

    rows: pl.DataFrame
    n_matching: int
    n_before: int
    next: Cursor | None
    previous: Cursor | None


def sort_of(text: str) -> Sort:
    """Return the order that a text names.

    Raises:
        ConfigError: There is no such order.
    """
    for name in get_args(Sort):
        if name == text:
            known: Sort = name
            return known
    raise ConfigError(
        f"sort is {text[:80]!r}{did_you_mean(text[:80], list(SORTS))}; allowed: {', '.join(SORTS)}"
    )


def cursor_of(text: str) -> Cursor:
    """Return the cursor of a text from an address.

    Raises:
        ConfigError: The text is no cursor.
    """
    match = _CURSOR.fullmatch(text)
    try:
        key = math.nan if match is None else math.inf if match[1] == "end" else float(match[1])
    except ValueError:
        key = math.nan
    if match is None or math.isnan(key):
        raise ConfigError(f"{text[:80]!r} is no place in this list; open the list again without it")
    return Cursor(key=key, image_id=match[2])


def page_of(
    table: pl.DataFrame,
    conditions: Conditions,
    *,
    sort: Sort,
    n_rows: int,
    after: Cursor | None = None,
    before: Cursor | None = None,
    met: Met | None = None,
) -> Page:
    """Return one page of the matching rows.

    Args:
        table: Table in `columns.SCHEMA`, sorted by id.
        conditions: Conditions on the rows.
        sort: Order of the rows.
        n_rows: Largest number of rows, 1 to `MAX_ROWS`.
        after: Cursor that the page begins after; None for the first page.
        before: Cursor that the page ends before; `after` is then ignored.
        met: Result of `met_by` for the table and the conditions; None computes it.

    Raises:
        ConfigError: The number of rows is not allowed.
    """
    if not 1 <= n_rows <= MAX_ROWS:
        raise ConfigError(f"{counted(n_rows, 'image')} per page; allowed: 1 to {MAX_ROWS}")
    matching = np.flatnonzero(mask_of(table, conditions, met))
    keys = _keys(table, sort)[matching]
    is_earlier = np.zeros(len(matching), dtype=bool)
    cursor = before or after
    if cursor is not None:
        # Rows are sorted by id, so that a row's number stands for its id.
        at = int(table["image_id"].search_sorted(cursor.image_id, side="left"))
        is_at = at < table.height and table["image_id"][at] == cursor.image_id
        end = at + 1 if before is None and is_at else at
        is_earlier = (keys < cursor.key) | ((keys == cursor.key) & (matching < end))
    if before is not None:
        chosen = _last(keys[is_earlier], n_rows)
        rows = matching[is_earlier][chosen]
        n_before = int(is_earlier.sum()) - len(rows)
    else:
        chosen = _first(keys[~is_earlier], n_rows)
        rows = matching[~is_earlier][chosen]
        n_before = int(is_earlier.sum())
    shown = table[rows]
    ends = [
        Cursor(key=float(_keys(shown, sort)[place]), image_id=str(shown["image_id"][place]))
        for place in ((0, -1) if len(rows) else ())
    ]
    return Page(
        rows=shown,
        n_matching=len(matching),
        n_before=n_before,
        next=ends[1] if ends and n_before + len(rows) < len(matching) else None,
        previous=ends[0] if ends and n_before else None,
    )


def mask_of(
    table: pl.DataFrame, conditions: Conditions, met: Met | None = None
) -> NDArray[np.bool_]:
    """Return whether each row meets all conditions."""
    each = (met_by(table, conditions) if met is None else met).values()
    mask: NDArray[np.bool_] = np.ones(table.height, dtype=bool)
    for values in each:
        mask &= values
    return mask


def _keys(table: pl.DataFrame, sort: Sort) -> NDArray[np.float64]:
    """Return the number of each row in ascending order; rows without the value have infinity."""
    if sort == "id":
        return np.zeros(table.height)
    # Microseconds since 1970 are whole numbers in float64 until the year 2255.
    time = pl.col("seen_at").dt.epoch("us").cast(pl.Float64)
    score = pl.col("prob_fake").cast(pl.Float64)
    key = {
        "newest": -time,
        "oldest": time,
        "highest": -score,
        "lowest": score,
        "nearest": (score - 0.5).abs(),
    }[sort]
    return table.select(key=key.fill_null(math.inf))["key"].to_numpy()


def _first(keys: NDArray[np.float64], n: int) -> NDArray[np.intp]:
    """Return the places of the `n` lowest keys in order; equal keys keep their order."""
    if len(keys) > n:
        limit = np.partition(keys, n - 1)[n - 1]
        below = np.flatnonzero(keys < limit)
        at = np.flatnonzero(keys == limit)[: n - len(below)]
        places = np.sort(np.concatenate([below, at]))
    else:
        places = np.arange(len(keys))
    return places[np.argsort(keys[places], kind="stable")]


def _last(keys: NDArray[np.float64], n: int) -> NDArray[np.intp]:
    """Return the places of the `n` highest keys in order; equal keys keep their order."""
    reverse = len(keys) - 1 - _first(-keys[::-1], n)
    return reverse[::-1]
