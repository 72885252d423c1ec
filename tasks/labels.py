"""The label of an image and the evidence for it, by one rule.

1. Reviews: the latest answer of each reviewer that was not taken back counts; `unsure` is no
   answer. If the answers agree, they are the label (evidence `review`). If they disagree, the image
   has no label, and weaker evidence does not decide.
2. Otherwise lineage: an image that assay made has the label of its record (evidence `synthetic`).
3. Otherwise the sources: for each item with the image, the latest sighting with a label counts. A
   sighting without a label withdraws nothing; one with the label `unsure` withdraws the item's
   label. If the remaining labels agree, they are the label (evidence `source`); if they disagree,
   the image has none.

The detector's decision is never evidence here. The note of a label says where stronger evidence
overrules weaker evidence, and where evidence of one kind disagrees.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from ..data.vocabulary import Label

# Labels in a table for training; `unsure` is none.
CLASSES: Final = (Label.REAL.value, Label.FAKE.value, Label.LAUNDERED.value)


def best_labels(
    reviews: pl.LazyFrame, synthetics: pl.LazyFrame, sightings: pl.LazyFrame
) -> pl.LazyFrame:
    """Return the label of every image with any evidence.

    Args:
        reviews: Rows of the table `reviews`, all or some.
        synthetics: Rows of the table `synthetics`, all or some.
        sightings: Rows of the table `sightings`, all or some.

    Returns:
        Columns image_id, label (or null), label_evidence (`review`, `synthetic`, `source`; null
        without a label), label_note (disagreements, or null).
    """
    said = _agreed(standing(reviews), "reviewed_at", ["image_id", "reviewer"], "said")
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


def standing(reviews: pl.LazyFrame) -> pl.LazyFrame:
    """Return the latest answer of each reviewer about each image, without what was taken back.

    A row that takes back an answer is no answer, and takes back answers of its reviewer only; the
    reviewer's answer before that one counts again. Answers of the same time are ordered by their
    ids, so that the order of the rows does not matter.

    Args:
        reviews: Rows of the table `reviews`, all or those of some images.

    Returns:
        Columns of `reviews`.
    """
    taken_back = reviews.filter(pl.col("withdraws").is_not_null()).select(
        "reviewer", answer_id="withdraws"
    )
    return (
        reviews.filter(pl.col("withdraws").is_null())
        .join(taken_back, on=["reviewer", "answer_id"], how="anti")
        # Rows of older versions have no id, and keep their order.
        .sort("reviewed_at", "answer_id", nulls_last=False, maintain_order=True)
        .unique(subset=["image_id", "reviewer"], keep="last", maintain_order=True)
    )


def _agreed(rows: pl.LazyFrame, time: str, voter: list[str], name: str) -> pl.LazyFrame:
    """Return, per image, all labels in the latest rows of the voters, and the one if they agree."""
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
