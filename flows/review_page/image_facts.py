"""What the page says of one image beside the image itself: provenance, history, near copies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from ...data.schema import Row
from ...data.store.lake import Lake
from ...data.text.wording import counted
from ...data.vocabulary import DecisionReason, Doubt
from ...tasks.latest_rows import Named, keyed_decisions
from ...tasks.pages.captions import cut, short_name, visible
from ...tasks.review.answers import all_answers, standing_answers
from ...tasks.similar.result import Neighbour
from ...tasks.similar.search import MAX_TELLING_BITS, find_similar, stored_query

_MAX_SIGHTINGS: Final = 5
_MAX_COPIES: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class AboutImage:
    """Provenance and history of one image.

    Attributes:
        facts: Pairs of a name and a text.
        sightings: Addresses at which it was seen, the latest first.
        n_more_sightings: Number of earlier addresses.
        decisions: Rows of `decisions`, the latest first, with reasons in words.
        answers: Answers that the reviewer may see, the latest first: the own ones, and those of
            others once the reviewer has answered.
        n_hidden: Number of other reviewers whose answers are not shown yet.
    """

    facts: list[tuple[str, str]]
    sightings: list[str]
    n_more_sightings: int
    decisions: list[Row]
    answers: list[Row]
    n_hidden: int


def about_image(lake: Lake, image_id: str, reviewer: str) -> AboutImage:
    """Return provenance and history of an image.

    Args:
        lake: Lake of the image.
        image_id: Id of a stored image.
        reviewer: Name of the reviewer; an opinion is independent until it is given.

    Raises:
        StoreError: The lake cannot be read.
    """
    part = Named(ids=(image_id,))
    stored = part.rows(lake, "images").head(1).collect()
    seen = part.rows(lake, "sightings").sort("seen_at", descending=True).collect()
    decisions = keyed_decisions(lake, part=part).sort("decided_at", descending=True).collect()
    standing = standing_answers(lake, [image_id]).collect()
    has_answered = reviewer in set(standing["reviewer"])
    answers = all_answers(lake, [image_id]).sort("reviewed_at", descending=True).collect()
    others = standing.filter(pl.col("reviewer") != reviewer)
    if not has_answered:
        answers = answers.filter(pl.col("reviewer") == reviewer)
    addresses = [cut(uri) for uri in seen["source_uri"].unique(maintain_order=True)]
    return AboutImage(
        facts=_facts(stored.row(0, named=True), seen) if len(stored) else [],
        sightings=addresses[:_MAX_SIGHTINGS],
        n_more_sightings=max(0, len(addresses) - _MAX_SIGHTINGS),
        decisions=[
            row | {"reasons": [DecisionReason.text_of(word) for word in row["reasons"]]}
            for row in decisions.iter_rows(named=True)
        ],
        answers=_without_withdrawn(answers),
        n_hidden=0 if has_answered else len(others),
    )


def near_copies(lake: Lake, image_id: str) -> list[Neighbour]:
    """Return the stored images whose perceptual hashes are near, the nearest first.

    Args:
        lake: Lake of the image.
        image_id: Id of a stored image.

    Raises:
        InputError: The lake has no such image.
        StoreError: The lake cannot be read.
    """
    found = find_similar(lake, stored_query(lake, image_id), by="phash", k=_MAX_COPIES)
    return [near for near in found.neighbours if near.hamming_bits <= MAX_TELLING_BITS]


def name_of(source_uri: str | None) -> str:
    """Return the short name of an item for display."""
    return visible(short_name(source_uri))


def _facts(image: Row, seen: pl.DataFrame) -> list[tuple[str, str]]:
    capture: dict[str, Any] = image.get("capture") or {}
    camera = " ".join(filter(None, (capture.get("make"), capture.get("model"))))
    domains = seen["domain"].drop_nulls().filter(seen["domain"].drop_nulls() != "")
    quality = image["jpeg_quality"]
    encoded = image["format"] + (f", quality {quality}" if quality else "")
    if image["n_frames"] > 1:
        encoded += f", {counted(image['n_frames'], 'frame')}"
    doubt = image.get("doubt")
    found = [
        ("size", f"{image['width_px']} x {image['height_px']} px, {_size(image['n_bytes'])}"),
        ("file", encoded),
        ("camera", camera or None),
        ("software", capture.get("software")),
        ("declared", image["ai_declared"] and f"AI-generated: {image['ai_declared']}"),
        ("doubt", doubt and Doubt.text_of(doubt)),
        ("domain", domains[0] if len(domains) else None),
        ("first stored", f"{image['ingested_at']:%Y-%m-%d %H:%M} UTC"),
        ("id", image["image_id"][:16]),
    ]
    return [(name, visible(str(text))) for name, text in found if text]


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 1000:,.0f} kB" if n_bytes < 1_000_000 else f"{n_bytes / 1e6:,.1f} MB"


def _without_withdrawn(answers: pl.DataFrame) -> list[Row]:
    withdrawn = set(answers["withdraws"].drop_nulls())
    rows = answers.filter(pl.col("withdraws").is_null())
    return [row for row in rows.iter_rows(named=True) if row["answer_id"] not in withdrawn]
