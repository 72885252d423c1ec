"""Upkeep at the end of a run: small files are merged, and what merges superseded long ago goes.

So the number of files of a lake is bounded by its size and by the commits of the retention. Work
is spread: a table is looked at when a run has merged some of its files, at most once a day, and
vacuumed once a number of its versions have expired.
"""

from __future__ import annotations

import json
import logging
import time
from typing import Final

from ...data.errors import AssayError, brief
from ...data.store.lake import Lake
from ...data.store.table_log import versions_of
from ...data.store.tables import FOLDER
from .compact import compact_crowded
from .vacuum import vacuum

_log = logging.getLogger(__name__)

RETENTION_S: Final = 30 * 86_400.0
# A vacuum reads the log of the retention, so it waits until it has this much to remove.
EXPIRED_VERSIONS: Final = 100
# Versions of published datasets keep the log after them, so expired versions may remain.
INTERVAL_S: Final = 86_400.0
# Per table and run, each of at most 64 MB: a lake with much to merge spreads it over runs.
MERGES: Final = 1
FOLDER_OF_TIMES: Final = "upkeep"


def keep_up(
    lake: Lake,
    *,
    now_s: float | None = None,
    retention_s: float = RETENTION_S,
    expired_versions: int = EXPIRED_VERSIONS,
) -> None:
    """Merge small files where there are many, and vacuum the merged tables where it is worth it.

    Every version of the retention stays readable, and those that published datasets were read at.
    Tables of assay 0.2.0 and older are not vacuumed, since their lake does not know its datasets.
    A failure is logged, since the run is complete.

    Args:
        lake: Lake of the tables.
        now_s: Unix time from which ages count; None for the present.
        retention_s: Age in seconds up to which every version stays readable.
        expired_versions: Number of older versions from which a table is vacuumed.
    """
    now_s = time.time() if now_s is None else now_s
    for table in compact_crowded(lake, max_merges=MERGES):
        try:
            if _is_due(lake, table, now_s, now_s - retention_s, expired_versions):
                _vacuum(lake, table, now_s, retention_s)
        except (AssayError, OSError) as error:
            _log.warning("table %s of %s was not vacuumed: %s", table, lake.uri, brief(error))


def _is_due(lake: Lake, table: str, now_s: float, before_s: float, expired_versions: int) -> bool:
    """Return whether a vacuum is worth it; a table is looked at once a day, since that lists it."""
    if not lake.tables.records_its_readers(table) or now_s - _last_s(lake, table) < INTERVAL_S:
        return False
    lake.write(f"{FOLDER_OF_TIMES}/{table}.json", json.dumps({"looked_s": now_s}).encode())
    times = versions_of(lake.store, f"{FOLDER}/{table}")
    return sum(at_s <= before_s for at_s in times.values()) > expired_versions


def _vacuum(lake: Lake, table: str, now_s: float, retention_s: float) -> None:
    removed = vacuum(lake, older_than_s=retention_s, tables=[table], now_s=now_s)
    _log.info(
        "removed %d files that only versions of %s of more than %.0f days ago need",
        len(removed),
        table,
        retention_s / 86_400,
    )


def _last_s(lake: Lake, table: str) -> float:
    """Return the Unix time at which a run last looked at a table; 0 for never."""
    raw = lake.store.read(f"{FOLDER_OF_TIMES}/{table}.json")
    try:
        return 0.0 if raw is None else float(json.loads(raw)["looked_s"])
    except (ValueError, KeyError, TypeError):
        return 0.0  # the next look writes it again
