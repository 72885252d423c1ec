"""What an image is taken to be, and on whose word: one written rule for all evidence.

1. People. Each reviewer's latest answer counts; `unsure` says nothing. If the others agree,
   that is the label (evidence `review`). If they disagree there is no label, and nothing
   weaker settles it.
2. Else lineage: a picture that assay made is what its record says (evidence `synthetic`).
3. Else the sources: of each item that was this image, the latest sighting that names a label
   counts. A sighting without a label says nothing and takes nothing back; one labelled `unsure`
   withdraws the item's label. If those that name a label agree, that is the label (evidence
   `source`); if they disagree there is none.

The detector's decision is never evidence here. Where a stronger word overrules a weaker one,
or words of one kind disagree, the note says so.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from ..data.schema import Label

# What a label may be in a table for training; `unsure` is no label.
CLASSES: Final = (Label.REAL.value, Label.FAKE.value, Label.LAUNDERED.value)


def best_labels(
    reviews: pl.LazyFrame, synthetics: pl.LazyFrame, sightings: pl.LazyFrame
) -> pl.LazyFrame:
    """The label of every image that any evidence speaks of.

    Args:
        reviews: Rows of the table of that name, all or some.
        synthetics: Likewise.
        sightings: Likewise.

    Returns:
        image_id, label (or null), label_evidence (review, synthetic, source; null without a
        label), label_note (what disagrees, or null).
    """
    said = _agreed(reviews, "reviewed_at", ["image_id", "reviewer"], "said")
    made = (
        synthetics.sort("created_at", maintain_order=True)
        .unique(subset=["image_id"], keep="last")
        .select("image_id", made=_known(pl.col("label")))
        .drop_nulls()
    )
    named = _agreed(sightings, "seen_at", ["image_id", "batch_id", "source_uri"], "named")
    facts = said.join(made, on="image_id", how="full", coalesce=True).join(
        named, on="image_id", how="full", coalesce=True
    )
    people_differ = pl.col("said_list").list.len().fill_null(0) > 1
    sources_differ = pl.col("named_list").list.len().fill_null(0) > 1
    evidence = (
        pl.when(people_differ)
        .then(None)
        .when(pl.col("said").is_not_null())
        .then(pl.lit("review"))
        .when(pl.col("made").is_not_null())
        .then(pl.lit("synthetic"))
        .when(pl.col("named").is_not_null())
        .then(pl.lit("source"))
    )
    label = (
        pl.when(evidence == "review")
        .then("said")
        .when(evidence == "synthetic")
        .then("made")
        .when(evidence == "source")
        .then("named")
    )
    notes = [
        pl.when(people_differ).then(_listing("reviewers disagree", "said_list")),
        pl.when(pl.col("said") != pl.col("made")).then(
            pl.lit("overrules lineage: ") + pl.col("made")
        ),
        pl.when(sources_differ).then(_listing("sources disagree", "named_list")),
        pl.when((pl.col("named") != label) & evidence.is_in(["review", "synthetic"])).then(
            pl.lit("overrules source: ") + pl.col("named")
        ),
    ]
    note = pl.concat_str(notes, separator="; ", ignore_nulls=True)
    return facts.select(
        "image_id",
        label=label,
        label_evidence=evidence,
        label_note=pl.when(note != "").then(note),
    )


def _agreed(rows: pl.LazyFrame, time: str, voter: list[str], name: str) -> pl.LazyFrame:
    """Per image: the one label that all voters' latest words give, and the list of all given."""
    return (
        rows.filter(pl.col("image_id").is_not_null() & pl.col("label").is_not_null())
        .sort(time, maintain_order=True)
        .unique(subset=voter, keep="last", maintain_order=True)
        .with_columns(label=_known(pl.col("label")))
        .filter(pl.col("label").is_not_null())
        .group_by("image_id")
        .agg(pl.col("label").unique().sort().alias(f"{name}_list"))
        .with_columns(
            pl.when(pl.col(f"{name}_list").list.len() == 1)
            .then(pl.col(f"{name}_list").list.first())
            .alias(name)
        )
    )


def _known(label: pl.Expr) -> pl.Expr:
    lower = label.cast(pl.String).str.strip_chars().str.to_lowercase()
    return pl.when(lower.is_in(CLASSES)).then(lower)


def _listing(words: str, column: str) -> pl.Expr:
    return pl.lit(f"{words}: ") + pl.col(column).list.join(", ")
