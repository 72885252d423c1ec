"""Leases: which images are before which reviewer, so that no two get the same one.

A lease ends when its image is answered or released, or by its time. Taking leases is atomic
between threads and processes, since SQLite has one writer at a time.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from ...data.errors import ConfigError
from ...data.store.journal.connect import in_words, transaction
from ...data.vocabulary import ReviewKind
from .answer import require_reviewer

LEASE_S: Final = 600.0
MAX_LEASE_S: Final = 86_400.0


class Leases:
    """Leases of a journal; threads may share it.

    Args:
        connection: Connection to the journal.
        lock: Lock of the connection between threads.
        path: Path of the journal, for messages.
        now: Function that gives Unix time in seconds.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        lock: threading.RLock,
        path: Path,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._connection = connection
        self._lock = lock
        self._path = path
        self._now = now

    def lease(
        self,
        image_ids: Sequence[str],
        reviewer: str,
        *,
        seconds: float = LEASE_S,
        kinds: Mapping[str, str] | None = None,
    ) -> list[str]:
        """Take those of some images that nobody has, the reviewer included.

        Args:
            image_ids: Ids of the images.
            reviewer: Name of the reviewer.
            seconds: Duration of the leases, up to a day.
            kinds: Occasion per image, words of `ReviewKind`; `queue` for an image not named.

        Returns:
            The ids that were granted, in the order given.

        Raises:
            ConfigError: The duration is not allowed.
            InputError: The reviewer's name is not allowed.
            StoreError: The journal cannot be written.
        """
        require_reviewer(reviewer)
        _require_duration(seconds)
        now_s = self._now()
        granted = []
        with self._lock, in_words("write to", self._path), transaction(self._connection):
            self._connection.execute("DELETE FROM leases WHERE until_s <= ?", (now_s,))
            for at, image_id in enumerate(image_ids):
                done = self._connection.execute(
                    "INSERT OR IGNORE INTO leases VALUES (?, ?, ?, ?)",
                    (image_id, reviewer, _kind(image_id, kinds), _end_s(now_s, seconds, at)),
                )
                if done.rowcount:
                    granted.append(image_id)
            if granted:
                self._connection.execute(
                    "INSERT INTO served VALUES (?, ?) ON CONFLICT (reviewer)"
                    " DO UPDATE SET n_images = n_images + excluded.n_images",
                    (reviewer, len(granted)),
                )
        return granted

    def renew(
        self, image_ids: Sequence[str], reviewer: str, *, seconds: float = LEASE_S
    ) -> list[str]:
        """Extend leases of a reviewer, and return the ids of those that were not lost.

        Args:
            image_ids: Ids of the images.
            reviewer: Name of the reviewer.
            seconds: Duration from now on, up to a day.

        Raises:
            ConfigError: The duration is not allowed.
            StoreError: The journal cannot be written.
        """
        _require_duration(seconds)
        now_s = self._now()
        kept = []
        with self._lock, in_words("write to", self._path), transaction(self._connection):
            for at, image_id in enumerate(image_ids):
                done = self._connection.execute(
                    "UPDATE leases SET until_s = ? WHERE image_id = ? AND reviewer = ?"
                    " AND until_s > ?",
                    (_end_s(now_s, seconds, at), image_id, reviewer, now_s),
                )
                if done.rowcount:
                    kept.append(image_id)
        return kept

    def release(self, image_ids: Sequence[str], reviewer: str) -> None:
        """Release leases of a reviewer; those of others stay.

        Raises:
            StoreError: The journal cannot be written.
        """
        with self._lock, in_words("write to", self._path), transaction(self._connection):
            self._connection.executemany(
                "DELETE FROM leases WHERE image_id = ? AND reviewer = ?",
                [(image_id, reviewer) for image_id in image_ids],
            )

    def n_served(self, reviewer: str) -> int:
        """Return the number of leases that a reviewer has ever been granted.

        Raises:
            StoreError: The journal cannot be read.
        """
        with self._lock, in_words("read", self._path):
            row = self._connection.execute(
                "SELECT n_images FROM served WHERE reviewer = ?", (reviewer,)
            ).fetchone()
        return int(row[0]) if row else 0

    def kinds(self, reviewer: str) -> dict[str, str]:
        """Return the occasion of each image that is leased to a reviewer, the oldest lease first.

        Raises:
            StoreError: The journal cannot be read.
        """
        with self._lock, in_words("read", self._path):
            rows = self._connection.execute(
                "SELECT image_id, kind FROM leases WHERE reviewer = ? AND until_s > ?"
                " ORDER BY until_s, image_id",
                (reviewer, self._now()),
            )
            return dict(rows.fetchall())

    def held(self) -> dict[str, str]:
        """Return the reviewer of each leased image, the longest lease last.

        Raises:
            StoreError: The journal cannot be read.
        """
        with self._lock, in_words("read", self._path):
            rows = self._connection.execute(
                "SELECT image_id, reviewer FROM leases WHERE until_s > ?"
                " ORDER BY until_s, image_id",
                (self._now(),),
            )
            return dict(rows.fetchall())


def _kind(image_id: str, kinds: Mapping[str, str] | None) -> str:
    return (kinds or {}).get(image_id, ReviewKind.QUEUE.value)


def _end_s(now_s: float, seconds: float, at: int) -> float:
    """Return the end of a lease; microseconds keep the order of those that were taken at once."""
    return now_s + seconds + at * 1e-6


def _require_duration(seconds: float) -> None:
    if not 0 < seconds <= MAX_LEASE_S:
        raise ConfigError(
            f"a lease of {seconds} seconds is not allowed; allowed: above 0, at most"
            f" {MAX_LEASE_S:,.0f}"
        )
