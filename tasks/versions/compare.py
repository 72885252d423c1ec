"""The differences between two published datasets: images, labels, decisions, splits, settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

import polars as pl

from .published import Published

NONE: Final = "none"
"""Word for an image without a label or decision."""


class Kind(StrEnum):
    """What changed about an image; an image may have several changes."""

    ADDED = "added"
    REMOVED = "removed"
    RELABELLED = "relabelled"
    REDECIDED = "redecided"
    RESPLIT = "resplit"


# Column that a change of an image in both datasets is about.
_COLUMNS: Final = {Kind.RELABELLED: "label", Kind.REDECIDED: "decision", Kind.RESPLIT: "split"}

# Entries of a lock that say how a dataset was made, in the order of display.
SETTINGS: Final = (
    "lake",
    "detector",
    "weights_sha256",
    "profile",
    "precision",
    "policy_id",
    "labels_from_decisions",
    "selection",
    "limits",
    "seed",
    "fractions",
    "near_duplicate_max_distance",
    "data_format",
    "align_encoding",
    "assay",
)
# Entries that are no choice of how a dataset is made, or that say it in other words.
_NO_SETTINGS: Final = frozenset(
    {
        "format",
        "name",
        "tables",
        "shortcuts",
        "splits",
        "split_note",
        "groups",
        "files",
        "allow_shortcuts",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """Images with the same change.

    Attributes:
        kind: Kind of the change.
        before: Label, decision or split in A; None for an added image.
        after: The same in B; None for a removed image.
        n: Number of images.
        examples: Ids of some of them, the first by id.
    """

    kind: Kind
    before: str | None
    after: str | None
    n: int
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The differences between datasets A and B.

    Attributes:
        a: Name of A.
        b: Name of B.
        n_a: Number of images of A.
        n_b: Number of images of B.
        n_unchanged: Number of images of both, without any change.
        moves: Changes, each with its words; none for equal datasets.
        settings: Settings that differ, with the values of A and B.
        notes: Facts of the two datasets that explain the counts; none for versions of one dataset.
    """

    a: str
    b: str
    n_a: int
    n_b: int
    n_unchanged: int
    moves: tuple[Move, ...]
    settings: Mapping[str, tuple[Any, Any]]
    notes: tuple[str, ...] = ()

    def count(self, kind: Kind) -> int:
        """Return the number of images with a kind of change."""
        return sum(move.n for move in self.moves if move.kind is kind)

    def to_json(self) -> dict[str, Any]:
        """Return the differences as plain values."""
        return {
            "a": self.a,
            "b": self.b,
            "images": {"a": self.n_a, "b": self.n_b, "unchanged": self.n_unchanged},
            **{kind.value: self.count(kind) for kind in Kind},
            "changes": [
                {
                    "change": move.kind.value,
                    "before": move.before,
                    "after": move.after,
                    "n": move.n,
                    "examples": list(move.examples),
                }
                for move in self.moves
            ],
            "settings": {
                name: {"a": before, "b": after} for name, (before, after) in self.settings.items()
            },
            "notes": list(self.notes),
        }

    def with_examples(self, n: int) -> Difference:
        """Return the differences with at most some ids per change."""
        return replace(
            self, moves=tuple(replace(move, examples=move.examples[:n]) for move in self.moves)
        )


def compare(a: Published, b: Published, *, n_examples: int = 3) -> Difference:
    """Return the differences between two datasets.

    Args:
        a: The earlier dataset.
        b: The later dataset.
        n_examples: Largest number of ids per change.
    """
    both = a.rows.join(b.rows, on="image_id", how="full", suffix="_b", coalesce=False)
    is_in_a, is_in_b = pl.col("image_id").is_not_null(), pl.col("image_id_b").is_not_null()
    shared = both.filter(is_in_a & is_in_b)
    moves = [
        *_moves(both.filter(~is_in_a), Kind.ADDED, _NO_WORD, _word("split_b"), n_examples),
        *_moves(both.filter(~is_in_b), Kind.REMOVED, _word("split"), _NO_WORD, n_examples),
    ]
    is_changed = pl.lit(value=False)
    for kind, column in _COLUMNS.items():
        before, after = _word(column), _word(f"{column}_b")
        moves += _moves(shared.filter(before != after), kind, before, after, n_examples)
        is_changed = is_changed | (before != after)
    return Difference(
        a=a.name,
        b=b.name,
        n_a=a.rows.height,
        n_b=b.rows.height,
        n_unchanged=shared.filter(~is_changed).height,
        moves=tuple(moves),
        settings=differing_settings(a.lock, b.lock),
        notes=tuple(_notes(a, b, n_shared=shared.height)),
    )


def _notes(a: Published, b: Published, *, n_shared: int) -> Iterator[str]:
    """Yield what a reader may not expect of two datasets to compare."""
    if a.lock and a.lock == b.lock:
        yield "both are the same publication, or copies of it"
    if a.lock.get("lake") != b.lock.get("lake"):
        yield "the datasets were published from two lakes, or from one that has moved"
    if not n_shared and a.rows.height and b.rows.height:
        yield "the datasets have no image in common"


def differing_settings(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return the settings of two locks that differ; None for one that a lock lacks.

    Args:
        a: Lock of the one dataset.
        b: Lock of the other.
    """
    # A later version of assay may record settings that this one does not know.
    others = sorted((a.keys() | b.keys()) - _NO_SETTINGS - set(SETTINGS))
    pairs = {name: (_setting(a, name), _setting(b, name)) for name in (*SETTINGS, *others)}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _setting(lock: Mapping[str, Any], name: str) -> Any:
    """Return a setting of a lock, without the counts that stand beside it."""
    value = lock.get(name)
    if isinstance(value, dict):
        return {key: one for key, one in value.items() if key != "left_out"} or None
    return value


_NO_WORD: Final = pl.lit(None, pl.String)


def _word(column: str) -> pl.Expr:
    return pl.col(column).fill_null(NONE)


def _moves(
    rows: pl.DataFrame, kind: Kind, before: pl.Expr, after: pl.Expr, n_examples: int
) -> list[Move]:
    """Return the changes of rows, counted by their two words."""
    image_id = pl.coalesce("image_id", "image_id_b")
    found = (
        rows.select(before=before, after=after, image_id=image_id)
        .group_by("before", "after")
        .agg(n=pl.len(), examples=pl.col("image_id").sort().head(n_examples))
        .sort(["n", "before", "after"], descending=[True, False, False])
    )
    return [
        Move(
            kind=kind,
            before=row["before"],
            after=row["after"],
            n=row["n"],
            examples=tuple(row["examples"]),
        )
        for row in found.iter_rows(named=True)
    ]
