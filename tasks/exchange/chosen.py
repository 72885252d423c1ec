"""Images and answers that an export writes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from ...data.store.lake import Lake
from ..browse.filters import Filters
from ..browse.images import parts_of_images, pinned, scope_of
from ..review.answers import standing_answers


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Selection of images and reviewers.

    Attributes:
        lake: Lake of the images.
        filters: Conditions on the images.
        run_id: Id of a run whose images are chosen from; None for the whole lake.
        reviewers: Names of reviewers whose answers are written; none for all.
        is_unanswered: Whether images with an answer are left out.
    """

    lake: Lake
    filters: Filters
    run_id: str | None = None
    reviewers: Sequence[str] = ()
    is_unanswered: bool = False

    def parts(self) -> Iterator[pl.DataFrame]:
        """Yield the images with the columns of `browse.images.COLUMNS`, one part at a time.

        Raises:
            InputError: The lake has no such run.
            StoreError: The lake cannot be read.
        """
        answered = pl.Series("image_id", [], dtype=pl.String)
        if self.is_unanswered:
            answered = standing_answers(self.lake).select("image_id").collect()["image_id"].unique()
        scope = pinned(self.lake, scope_of(self.lake, self.run_id))
        for part in parts_of_images(self.lake, scope, self.filters):
            yield part.join(answered.to_frame(), on="image_id", how="anti", maintain_order="left")

    def answers(self) -> pl.DataFrame:
        """Return the answers that count about the images, by the reviewers.

        Raises:
            InputError: The lake has no such run.
            StoreError: The lake or its journal cannot be read.
        """
        is_whole = self.filters.is_empty and self.run_id is None
        image_ids = None
        if not is_whole:
            image_ids = [
                image_id for part in self.parts() for image_id in part["image_id"].to_list()
            ]
        answers = standing_answers(self.lake, image_ids)
        if self.reviewers:
            answers = answers.filter(pl.col("reviewer").is_in(list(self.reviewers)))
        return answers.collect()
