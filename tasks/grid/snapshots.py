"""Tables of scopes, kept in memory and brought up to date while requests are answered.

A request gets the table as it is. Where the lake has moved on, a thread reads the rows about the
changed images alone, and the next request sees them. New answers are waited for, so that people
see their own.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from typing import Final

import polars as pl

from ...data.errors import AssayError, MissingVersion, brief
from ...data.store.lake import Lake
from ..browse.images import Scope, scope_of
from ..review.answers import n_pending, pending_answers
from .facets import folders_of
from .table import relabelled, replaced, rows_of_images, table_of

_log = logging.getLogger(__name__)

MAX_ROWS: Final = 3_000_000
"""Largest number of rows of all tables that are kept."""
CHECK_AFTER_S: Final = 1.0
N_FOLDERS: Final = 50
_WAIT_S: Final = 1.0
_TABLES: Final = ("images", "sightings", "scores", "decisions", "synthetics", "forgotten")
_READ: Final = (*_TABLES, "reviews", "runs")  # a run may change the scope, and no image
# From this share of changed images on, all rows are read again.
_MANY: Final = 0.2
_NO_IDS: Final = pl.Series("image_id", [], dtype=pl.String)

Versions = Mapping[str, int | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The images of a scope at one moment.

    Attributes:
        scope: Images, score key and policy.
        table: One row per image; see `columns.SCHEMA`.
        folders: Folders with the most images, each with its number of images.
        versions: Version of each table that was read.
        waiting: Ids of the images with answers in the journal, by the ids of the answers.
    """

    scope: Scope
    table: pl.DataFrame
    folders: list[tuple[str, int]]
    versions: Versions
    waiting: Mapping[str, str] = field(default_factory=dict)


class Snapshots:
    """The snapshots of a lake by run, the last used ones within a number of rows.

    Thread-safe. One thread reads the lake.

    Args:
        lake: Lake of the images.
        max_rows: Largest number of rows of all snapshots but the last used one.
        check_after_s: Least time between two looks for changes.
    """

    def __init__(
        self, lake: Lake, *, max_rows: int = MAX_ROWS, check_after_s: float = CHECK_AFTER_S
    ) -> None:
        self._lake = lake
        self._max_rows = max_rows
        self._check_after_s = check_after_s
        self._kept: OrderedDict[str | None, Snapshot] = OrderedDict()
        self._checked_s: dict[str | None, float] = {}
        self._work: dict[str | None, Future[Snapshot]] = {}
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="assay-grid")

    def get(self, run_id: str | None = None) -> Snapshot:
        """Return the snapshot of a run, or of the whole lake; the first one is waited for.

        New answers in the journal are waited for too, of any process.

        Args:
            run_id: Id of a run; None for the whole lake.

        Raises:
            InputError: The lake has no such run.
            StoreError: The lake cannot be read.
        """
        with self._lock:
            known = self._kept.get(run_id)
            if known is None:
                work = self._work.get(run_id) or self._begin(run_id, None)
            else:
                self._kept.move_to_end(run_id)
                if self._is_due(run_id) and run_id not in self._work:
                    self._begin(run_id, known)
        if known is None:
            return work.result()
        # Work that began before an answer was recorded does not have it: once more then.
        for _ in range(2):
            if n_pending(self._lake) == len(known.waiting):
                break
            with self._lock:
                work = self._work.get(run_id) or self._begin(run_id, self._kept.get(run_id))
            wait([work], timeout=_WAIT_S)
            if not work.done():
                break
            known = work.result()
        return known

    def is_ready(self, run_id: str | None = None, *, timeout_s: float) -> bool:
        """Return whether `get` answers at once, after some time; the work for it is begun.

        Args:
            run_id: Id of a run; None for the whole lake.
            timeout_s: Longest time to wait, in seconds.
        """
        with self._lock:
            if run_id in self._kept:
                return True
            work = self._work.get(run_id) or self._begin(run_id, None)
        wait([work], timeout=timeout_s)
        return work.done()

    def refresh(self) -> None:
        """Look for changes at the next request, however short the time since the last look."""
        with self._lock:
            self._checked_s.clear()

    def settled(self, run_id: str | None = None) -> Snapshot:
        """Return the snapshot after all that the lake has now is in it."""
        self.refresh()
        self.get(run_id)
        with self._lock:
            work = self._work.get(run_id)
        return self.get(run_id) if work is None else work.result()

    def close(self) -> None:
        """Stop the thread after its present work."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _begin(self, run_id: str | None, known: Snapshot | None) -> Future[Snapshot]:
        self._work[run_id] = self._pool.submit(self._bring_up, run_id, known)
        return self._work[run_id]

    def _is_due(self, run_id: str | None) -> bool:
        return time.monotonic() - self._checked_s.get(run_id, -1e9) >= self._check_after_s

    def _bring_up(self, run_id: str | None, known: Snapshot | None) -> Snapshot:
        fresh = None
        try:
            fresh = self._changed_or_known(run_id, known)
        finally:
            with self._lock:
                # Whatever went wrong, a later request tries again.
                self._work.pop(run_id, None)
                if fresh is not None:
                    self._keep(run_id, fresh)
        return fresh

    def _changed_or_known(self, run_id: str | None, known: Snapshot | None) -> Snapshot:
        try:
            return self._changed(run_id, known)
        except AssayError as error:
            if known is None:
                raise
            _log.warning("the grid shows an earlier state of the lake: %s", brief(error))
            return known

    def _keep(self, run_id: str | None, fresh: Snapshot) -> None:
        """Keep a snapshot within the number of rows; the caller holds the lock."""
        self._kept[run_id] = fresh
        self._kept.move_to_end(run_id)
        self._checked_s[run_id] = time.monotonic()
        while len(self._kept) > 1 and self._n_rows() > self._max_rows:
            self._kept.popitem(last=False)

    def _n_rows(self) -> int:
        # Runs over the whole lake share one table.
        return sum({id(s.table): s.table.height for s in self._kept.values()}.values())

    def _changed(self, run_id: str | None, known: Snapshot | None) -> Snapshot:
        """Return the snapshot as the lake is now; the known one itself if nothing changed."""
        # Before the rows: what is committed meanwhile is read once more the next time.
        versions = {name: self._lake.version(name) for name in _READ}
        waiting = dict(pending_answers(self._lake).select("answer_id", "image_id").iter_rows())
        if known is not None and _without_reviews(known.versions) == _without_reviews(versions):
            # People's answers change labels alone.
            return self._with_labels(known, versions, waiting)
        scope = scope_of(self._lake, run_id)
        base = known if known is not None and known.scope == scope else self._like(scope)
        ids = None if base is None else self._touched(base, versions)
        if base is None or ids is None or len(ids) > _MANY * max(1, base.table.height):
            table = table_of(self._lake, scope)
            return Snapshot(
                scope=scope,
                table=table,
                folders=folders_of(table, N_FOLDERS),
                versions=versions,
                waiting=waiting,
            )
        fresh = self._with_labels(replace(base, scope=scope), versions, waiting)
        if ids.is_empty():
            return fresh
        table = replaced(fresh.table, ids, rows_of_images(self._lake, scope, ids))
        return replace(fresh, table=table, folders=folders_of(table, N_FOLDERS))

    def _like(self, scope: Scope) -> Snapshot | None:
        """Return a snapshot of the same images, that of another run over the whole lake."""
        with self._lock:
            kept = list(self._kept.values())
        return next((s for s in kept if replace(s.scope, run_id=scope.run_id) == scope), None)

    def _touched(self, known: Snapshot, versions: Versions) -> pl.Series | None:
        """Return the ids of images with other rows than reviews since; None if unknown."""
        found = [_NO_IDS]
        try:
            for name in _TABLES:
                if versions[name] != known.versions[name]:
                    rows = self._lake.added(name, known.versions[name], versions[name])
                    found.append(rows.select(pl.col("image_id").drop_nulls()).collect()["image_id"])
        except MissingVersion:
            return None
        return pl.concat(found).unique()

    def _with_labels(
        self, known: Snapshot, versions: Versions, waiting: Mapping[str, str]
    ) -> Snapshot:
        """Return the snapshot with the answers that were given or moved since."""
        answers = known.waiting.keys() ^ waiting.keys()
        found = {waiting.get(answer) or known.waiting[answer] for answer in answers}
        ids = pl.Series("image_id", sorted(found), dtype=pl.String)
        before, after = known.versions["reviews"], versions["reviews"]
        if before != after:
            ids = pl.concat([ids, self._answered(before, after)]).unique()
        table = known.table if ids.is_empty() else relabelled(self._lake, known.table, ids)
        return replace(known, table=table, versions=versions, waiting=waiting)

    def _answered(self, before: int | None, after: int | None) -> pl.Series:
        """Return the ids of images with answers between two versions; of all if one is gone."""
        try:
            rows = self._lake.added("reviews", before, after).select("image_id").collect()
        except MissingVersion:
            rows = self._lake.scan("reviews").select("image_id").collect()
        return rows["image_id"]


def _without_reviews(versions: Versions) -> dict[str, int | None]:
    return {name: version for name, version in versions.items() if name != "reviews"}
