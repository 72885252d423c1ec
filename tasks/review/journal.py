"""The writer of answers: on disk at once, and in the table `reviews` a little later.

A commit to a Delta table takes tens of milliseconds and leaves two files. So answers go to a
SQLite file first, see `data/store/journal`, and from there into the table, many in one commit.

Killed at any point, nothing is lost and nothing is there twice: an answer leaves the journal only
after its commit, answers that the table has are not moved again, and readers count an answer that
is in both places once.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self

import polars as pl

from ...data.errors import AssayError, InputError, brief
from ...data.schema import Row
from ...data.store.conform import conform
from ...data.store.journal.connect import connect, in_words, locked, transaction
from ...data.store.journal.place import is_in_lake, journal_path
from ...data.store.lake import Lake
from ...data.store.upkeep.compaction import FAN
from ...data.text.wording import counted
from ..lake.compact import compact
from .answer import Answer, row_of_json
from .leases import Leases

_log = logging.getLogger(__name__)

FOLD_ANSWERS: Final = 200
# Readers of a local lake see the journal too; others see answers only in the table.
FOLD_AFTER_LOCAL_S: Final = 30.0
FOLD_AFTER_REMOTE_S: Final = 5.0
# Bounds the memory of one commit.
FOLD_AT_ONCE: Final = 50_000
FOLD_TIMEOUT_S: Final = 300.0
# Ids that are kept to spare their look-up; bounds memory at about 10 MB.
MAX_KNOWN: Final = 100_000
MAX_AHEAD: Final = timedelta(days=1)


class Journal:
    """The journal of a lake; threads and processes may share it.

    A thread of its own moves answers into the table while the journal is open.

    Args:
        lake: Lake of the images.
        fold_answers: Number of waiting answers from which on they are moved.
        fold_after_s: Longest time in seconds that an answer waits; None for 30, or 5 for a lake in
            an object store.
        now: Function that gives Unix time in seconds.

    Attributes:
        lake: Lake of the images.
        path: Path of the journal.
        leases: Leases of images to reviewers.
        kept: Objects that readers keep with the open journal, such as the ranked queue.

    Raises:
        StoreError: The journal cannot be created or opened.
    """

    def __init__(
        self,
        lake: Lake,
        *,
        fold_answers: int = FOLD_ANSWERS,
        fold_after_s: float | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.lake = lake
        self.path = journal_path(lake.store)
        self._connection = connect(lake.store)
        self._lock = threading.RLock()
        self.leases = Leases(self._connection, self._lock, self.path, now)
        self._now = now
        self._fold_answers = fold_answers
        default_s = FOLD_AFTER_LOCAL_S if is_in_lake(lake.store) else FOLD_AFTER_REMOTE_S
        self._fold_after_s = default_s if fold_after_s is None else fold_after_s
        self.kept: dict[Any, Any] = {}
        self._known: set[str] = set()
        self._n_waiting = 0
        self._wake = threading.Condition()
        self._is_closing = False
        self._folding: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def record(self, answers: Sequence[Answer]) -> None:
        """Record answers, all or none; return when they are on disk.

        An answer with a known id is not recorded again. The reviewer's lease of an image ends with
        the answer.

        Args:
            answers: Answers and withdrawals.

        Raises:
            InputError: An image is not in the lake, a withdrawn answer is not the reviewer's, an
                id was used for another answer, or a time lies ahead; nothing is recorded.
            StoreError: The journal cannot be written.
        """
        if not answers:
            return
        _require_past(answers, self._now())
        self._require_known(sorted({answer.image_id for answer in answers}))
        self._require_own(answers)
        with self._lock, in_words("write to", self.path), transaction(self._connection):
            n_new = sum(self._insert(answer) for answer in answers)
        if n_new:
            self._expect_fold(n_new)

    def expect(self, image_ids: Iterable[str]) -> None:
        """Take note of images that the caller has read from the lake.

        Their ids are not looked up again when they are answered, which takes several times as long
        as the answer itself.
        """
        if len(self._known) > MAX_KNOWN:
            self._known.clear()
        self._known.update(image_ids)

    def fold(self) -> int:
        """Move the waiting answers into the table `reviews`, and return their number.

        Raises:
            StoreError: The lake or the journal cannot be written; the answers stay in the journal.
        """
        n_moved = 0
        with locked(self.path, "fold", timeout_s=FOLD_TIMEOUT_S):
            # Those that come meanwhile wait for the next fold: else each commit of a busy page
            # would move the few answers that came during the one before.
            last = self._last_number()
            while n_moved_now := self._fold_some(last):
                n_moved += n_moved_now
        if n_moved:
            self._compact()
        return n_moved

    def waiting(self, after: int = 0) -> tuple[pl.DataFrame, int]:
        """Return the answers that are not in the table yet, and the number of the last one.

        Args:
            after: Number of the last answer to leave out.

        Raises:
            StoreError: The journal cannot be read.
        """
        with self._lock, in_words("read", self.path):
            found = self._connection.execute(
                "SELECT seq, answer FROM pending WHERE seq > ? ORDER BY seq", (after,)
            ).fetchall()
        rows = pl.DataFrame(conform("reviews", [row_of_json(text) for _, text in found]))
        return rows, found[-1][0] if found else after

    def n_waiting(self) -> int:
        """Return the number of answers that are not in the table yet, of all processes."""
        with self._lock, in_words("read", self.path):
            return int(self._connection.execute("SELECT count(*) FROM pending").fetchone()[0])

    def close(self) -> None:
        """Move the waiting answers into the table, and close the journal.

        A failure to move them is logged: they are on disk, and the next fold moves them.
        """
        with self._wake:
            if self._is_closing:
                return
            self._is_closing = True
            self._wake.notify_all()
        if self._folding is not None:
            self._folding.join()
        try:
            if self._n_waiting or self.n_waiting():
                self._fold_or_log()
        finally:
            self._connection.close()

    def _require_known(self, image_ids: Sequence[str]) -> None:
        unseen = [image_id for image_id in image_ids if image_id not in self._known]
        if not unseen:
            return
        known = self.lake.has_rows_of("images", unseen)
        if unknown := [image_id for image_id in unseen if image_id not in known]:
            raise InputError(
                f"{self.lake.uri} has no image {unknown[0]} ({len(unknown):,} of"
                f" {counted(len(image_ids), 'image is', 'images are')} unknown); nothing"
                " was recorded; `assay ls` lists"
                " its images"
            )
        self.expect(known)

    def _require_own(self, answers: Sequence[Answer]) -> None:
        """Refuse withdrawals of answers that the reviewer has not given about the image."""
        given = {(a.answer_id, a.image_id, a.reviewer) for a in answers if a.withdraws is None}
        back = [a for a in answers if a.withdraws is not None]
        wanted = {(a.withdraws or "", a.image_id, a.reviewer): a for a in back}
        missing = {key: answer for key, answer in wanted.items() if key not in given}
        for key in list(missing):
            with self._lock, in_words("read", self.path):
                found = self._connection.execute(
                    "SELECT 1 FROM pending WHERE answer_id = ? AND image_id = ? AND reviewer = ?"
                    " AND json_extract(answer, '$.withdraws') IS NULL",
                    key,
                ).fetchone()
            if found:
                del missing[key]
        if not missing:
            return
        names = ("answer_id", "image_id", "reviewer")
        rows = self.lake.rows_of("reviews", [image_id for _, image_id, _ in missing])
        there = set(rows.filter(pl.col("withdraws").is_null()).select(names).collect().iter_rows())
        for key in missing:
            if key not in there:
                raise InputError(
                    f"{key[2]} has given no answer {key[0]} about image {key[1]}; nothing was"
                    " recorded; only own answers can be taken back"
                )

    def _insert(self, answer: Answer) -> bool:
        """Insert an answer; return False if it was recorded before."""
        name, digest = bytes.fromhex(answer.answer_id), answer.digest()
        execute = self._connection.execute
        execute(
            "DELETE FROM leases WHERE image_id = ? AND reviewer = ?",
            (answer.image_id, answer.reviewer),
        )
        known = execute("SELECT digest FROM recorded WHERE answer_id = ?", (name,)).fetchone()
        if known is not None:
            if known[0] == digest:
                return False
            raise InputError(
                f"the id {answer.answer_id} was used for another answer; nothing was recorded;"
                " give each answer an id of its own"
            )
        execute("INSERT INTO recorded VALUES (?, ?)", (name, digest))
        execute(
            "INSERT INTO pending (answer_id, image_id, reviewer, recorded_s, answer)"
            " VALUES (?, ?, ?, ?, ?)",
            (
                answer.answer_id,
                answer.image_id,
                answer.reviewer,
                self._now(),
                answer.as_json(),
            ),
        )
        return True

    def _last_number(self) -> int:
        with self._lock, in_words("read", self.path):
            self._n_waiting = 0
            row = self._connection.execute("SELECT max(seq) FROM pending").fetchone()
        return row[0] or 0

    def _fold_some(self, last: int) -> int:
        """Move one commit of answers into the table; the caller holds the lock of folds.

        Args:
            last: Number of the last answer to move.
        """
        with self._lock, in_words("read", self.path):
            found = self._connection.execute(
                "SELECT seq, answer FROM pending WHERE seq <= ? ORDER BY seq LIMIT ?",
                (last, FOLD_AT_ONCE),
            ).fetchall()
        if not found:
            return 0
        rows = [row_of_json(text) for _, text in found]
        left = self._without_moved(rows)
        digest = hashlib.sha256("".join(row["answer_id"] for row in left).encode()).hexdigest()
        self.lake.append("reviews", left, txn=f"reviews:{digest[:32]}")
        with self._lock, in_words("write to", self.path), transaction(self._connection):
            self._connection.executemany(
                "DELETE FROM pending WHERE seq = ?", [(seq,) for seq, _ in found]
            )
        return len(found)

    def _without_moved(self, rows: list[Row]) -> list[Row]:
        """Return the rows that the table lacks; it has those of a fold that was killed."""
        image_ids = sorted({row["image_id"] for row in rows})
        there = self.lake.rows_of("reviews", image_ids).select(pl.col("answer_id").drop_nulls())
        known = set(there.collect()["answer_id"])
        return [row for row in rows if row["answer_id"] not in known]

    def _compact(self) -> None:
        """Merge the table's files where there are many; a failure is logged, the rows are there."""
        try:
            compact(self.lake, tables=["reviews"], fan=FAN)
        except (AssayError, OSError) as error:
            _log.warning("reviews of %s were not compacted: %s", self.lake.uri, brief(error))

    def _expect_fold(self, n_new: int) -> None:
        """Let the thread know of new answers."""
        with self._wake:
            self._n_waiting += n_new
            is_running = self._folding is not None and self._folding.is_alive()
            if not is_running and not self._is_closing:
                self._folding = threading.Thread(
                    target=self._fold_on_time, name="assay-fold", daemon=True
                )
                self._folding.start()
            self._wake.notify_all()

    def _fold_on_time(self) -> None:
        """Move answers when there are many or when they have waited, until the journal closes."""
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._n_waiting or self._is_closing)
                self._wake.wait_for(
                    lambda: self._n_waiting >= self._fold_answers or self._is_closing,
                    timeout=self._fold_after_s,
                )
                if self._is_closing:
                    return
            if not self._fold_or_log():
                # The store is full or out of reach; answers wait in the journal meanwhile.
                with self._wake:
                    self._wake.wait_for(lambda: self._is_closing, timeout=self._fold_after_s)

    def _fold_or_log(self) -> bool:
        try:
            self.fold()
        except (AssayError, OSError) as error:
            self._n_waiting = max(self._n_waiting, 1)
            _log.warning(
                "answers stay in %s for now, and are not lost: %s", self.path, brief(error)
            )
            return False
        return True


def _require_past(answers: Sequence[Answer], now_s: float) -> None:
    """Refuse times ahead: such an answer would overrule all later ones."""
    limit = datetime.fromtimestamp(now_s, UTC) + MAX_AHEAD
    for answer in answers:
        if answer.reviewed_at > limit:
            raise InputError(
                f"an answer about image {answer.image_id} is of {answer.reviewed_at:%Y-%m-%d %H:%M}"
                " UTC, which lies ahead; nothing was recorded; check the clock"
            )
