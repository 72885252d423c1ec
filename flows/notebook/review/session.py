"""One reviewer's session: items in the order shown, answers on disk, undo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import polars as pl

from ....data.errors import AssayError, InputError
from ....data.store.lake import Lake
from ....data.vocabulary import DecisionReason, ReviewOrigin, Shown
from ....tasks.pages.captions import score_text, short_name
from ....tasks.pages.thumbnails import thumbnails
from ....tasks.review.answer import Answer, withdrawal
from ....tasks.review.answers import standing_answers
from ....tasks.review.journal import Journal
from .feeds import Feed
from .items import Item

_SIZES: Final[Mapping[str, tuple[int, int]]] = {"large": (1024, 160_000), "small": (220, 9_000)}
"""Longest side in px and encoded size in bytes of an image in the page."""
_MOST_AT_ONCE: Final = 24
_MOST_UNDONE: Final = 20


class ReviewSession:
    """Items in the order shown, and what the reviewer has answered.

    Messages from the page are not trusted: every value is checked before it is recorded.

    Args:
        lake: Lake of the images.
        journal: Journal of the lake; answers are on disk when it returns.
        reviewer: Name of the reviewer.
        feed: Source of the images to answer.
        before: Items that the reviewer answered in an earlier session, in the order of the answers.
    """

    def __init__(
        self,
        lake: Lake,
        journal: Journal,
        *,
        reviewer: str,
        feed: Feed,
        before: Sequence[Item] = (),
    ) -> None:
        self.lake = lake
        self.reviewer = reviewer
        self._journal = journal
        self._feed = feed
        self._items = list(before)
        self._places = {item.image_id: place for place, item in enumerate(self._items)}
        self._labels: dict[str, str] = {}
        self._undo: list[dict[str, str]] = []
        self._is_at_end = False
        self._read_answers([item.image_id for item in self._items])
        self.start = len(self._items)

    def state(self) -> dict[str, Any]:
        """Return the counts, and the answers that can be taken back, as plain values."""
        # A restored answer may be about an image that is not in this list.
        n_answered = len(self._labels.keys() & self._places.keys())
        n_open = len(self._items) - n_answered
        left = self._feed.left()
        return {
            "answered": n_answered,
            "left": None if left is None else n_open + left,
            "elsewhere": left if self._is_at_end else 0,
            "end": len(self._items) if self._is_at_end else None,
            "undo": self._undo[-_MOST_UNDONE:],
        }

    def look(self, start: int, n: int, size: str) -> list[dict[str, Any]]:
        """Return items with their images, as plain values.

        Args:
            start: Place of the first item, from 0.
            n: Number of items; fewer come at the end.
            size: Size of the images: `large` or `small`.

        Raises:
            InputError: A number or the size is not allowed.
            StoreError: The lake cannot be read.
        """
        if size not in _SIZES or not _is_count(start) or not _is_count(n):
            raise InputError(
                f"images {start!r} to {start!r} + {n!r} in size {size!r} were requested; allowed:"
                f" whole numbers from 0, and {', '.join(_SIZES)}"
            )
        n = min(n, _MOST_AT_ONCE)
        self._extend(start + n)
        chosen = self._items[start : start + n]
        max_px, max_bytes = _SIZES[size]
        ids = [item.image_id for item in chosen]
        # A long look must not end with the image before another reviewer as well.
        self._journal.leases.renew(
            [image_id for image_id in ids if image_id not in self._labels], self.reviewer
        )
        made = thumbnails(self.lake, ids, max_px=max_px, max_bytes=max_bytes)
        shown = []
        for place, item in enumerate(chosen, start):
            image = made.get(item.image_id)
            shown.append(
                {
                    "place": place,
                    "image_id": item.image_id,
                    "label": self._labels.get(item.image_id),
                    "name": short_name(item.source_uri),
                    "score": score_text(item.prob_fake),
                    "decision": item.decision,
                    "reasons": [DecisionReason.text_of(word) for word in item.reasons],
                    "sharp": image.sharp if image else None,
                    "veil": image.veil if image else None,
                }
            )
        return shown

    def record(self, entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Record answers and withdrawals in their order, and return the outcome of each.

        A page that got no reply sends an entry again: it is recorded once.

        Args:
            entries: Objects with answer_id and image_id; an answer has a label, and may have note,
                reason, shown and seconds; a withdrawal has `withdraws`.

        Returns:
            `saved`: label per image of the recorded entries; `ids`: their answer ids; `refused`:
            message per answer id. If the journal cannot be written, `waiting` has the message, and
            nothing was recorded.
        """
        answers: list[Answer] = []
        refused: dict[str, str] = {}
        for entry in entries:
            try:
                answers.append(self._answer(entry))
            except InputError as error:
                refused[str(entry.get("answer_id"))[:64]] = str(error)
        done: list[Answer] = []
        try:
            for answer in answers:
                # One by one: a refused answer must not hold up the others.
                try:
                    self._journal.record([answer])
                except InputError as error:
                    refused[answer.answer_id] = str(error)
                else:
                    done.append(answer)
        except AssayError as error:
            return self._reply(done, refused) | {"waiting": str(error)}
        return self._reply(done, refused)

    def close(self) -> None:
        """Release the images that were shown and not answered."""
        held = [item.image_id for item in self._items if item.image_id not in self._labels]
        self._journal.leases.release(held, self.reviewer)

    def _reply(self, done: Sequence[Answer], refused: Mapping[str, str]) -> dict[str, Any]:
        ids = list(dict.fromkeys(answer.image_id for answer in done))
        self._read_answers(ids)
        return {
            "ids": [answer.answer_id for answer in done],
            "saved": {image_id: self._labels.get(image_id) for image_id in ids},
            "refused": dict(refused),
        }

    def _answer(self, entry: Mapping[str, Any]) -> Answer:
        """Return the answer of a message.

        Raises:
            InputError: A value is missing or not allowed.
        """
        image_id = str(entry.get("image_id"))
        place = self._places.get(image_id)
        item = self._items[place] if place is not None else Item(image_id=image_id)
        common: dict[str, Any] = {"origin": ReviewOrigin.NOTEBOOK.value}
        if entry.get("answer_id") is None:
            raise InputError("an answer has no answer_id; the page gives each one of its own")
        if entry.get("withdraws") is not None:
            row = {
                "image_id": image_id,
                "reviewer": self.reviewer,
                "kind": item.kind,
                "answer_id": entry["withdraws"],
            }
            return withdrawal(row, answer_id=entry["answer_id"], **common)
        shown = entry.get("shown") or ()
        if not isinstance(shown, (list, tuple)):
            raise InputError(f"what was shown is not a list; allowed: {', '.join(Shown)}")
        return Answer(
            image_id=image_id,
            label=str(entry.get("label")),
            reviewer=self.reviewer,
            note=entry.get("note"),
            reason=entry.get("reason"),
            shown=tuple(map(str, shown)),
            seconds=entry.get("seconds"),
            kind=item.kind,
            run_id=item.run_id,
            answer_id=entry["answer_id"],
            **common,
        )

    def _extend(self, n: int) -> None:
        """Take items until there are `n`, or none is left."""
        while len(self._items) < n:
            taken = self._feed.take(n - len(self._items))
            self._is_at_end = not taken
            if not taken:
                return
            for item in taken:
                if item.image_id not in self._places:
                    self._places[item.image_id] = len(self._items)
                    self._items.append(item)

    def _read_answers(self, image_ids: Sequence[str]) -> None:
        """Read the reviewer's standing answers about some images."""
        for image_id in image_ids:
            self._labels.pop(image_id, None)
        if not image_ids:
            return
        gone = set(image_ids)
        self._undo = [entry for entry in self._undo if entry["image_id"] not in gone]
        for row in own_answers(self.lake, self.reviewer, image_ids).iter_rows(named=True):
            image_id = row["image_id"]
            self._labels[image_id] = row["label"]
            if row["answer_id"] is not None:
                self._undo.append({"image_id": image_id, "answer_id": row["answer_id"]})


def own_answers(lake: Lake, reviewer: str, image_ids: Sequence[str] | None = None) -> pl.DataFrame:
    """Return a reviewer's standing answers, the latest last.

    Args:
        lake: Lake of the answers.
        reviewer: Name of the reviewer.
        image_ids: Ids of the images; None for all.

    Returns:
        Columns of the table `reviews`.
    """
    answers = standing_answers(lake, image_ids).filter(pl.col("reviewer") == reviewer)
    return answers.sort("reviewed_at", "image_id").collect()


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31
