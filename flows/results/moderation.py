"""Result of a run: its counts, access to its rows, and a cell of a notebook."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ...data.errors import AssayError, InputError
from .counts import RunCounts, most_first

if TYPE_CHECKING:
    import polars as pl

_REASONS_NAMED: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Moderation(RunCounts):
    """Result of a run: its counts, and access to its rows in the lake."""

    def scores(self) -> pl.DataFrame:
        """Return one row per image of the run, by descending score.

        Columns: image_id, source_uri, prob_fake (float32 or null), decision, reasons (list).

        Raises:
            InputError: The lake has no record of the run.
            StoreError: The lake cannot be read.
        """
        from ...data.store.lake import Lake
        from ...tasks.report.run_record import images_by_score

        return (
            images_by_score(Lake(self.lake, create=False), self.run_id)
            .select("image_id", "source_uri", "prob_fake", "decision", "reasons")
            .collect()
        )

    def check_rejected(self, share: float | None) -> None:
        """Check the share of rejected items.

        Args:
            share: Limit in [0, 1]; None for no limit.

        Raises:
            TooManyRejected: The share of rejected items exceeds the limit.
        """
        if share is not None and self.is_rejected_above(share):
            raise TooManyRejected(self, share)

    def _repr_html_(self) -> str:
        from html import escape

        try:
            from .cell import result_html

            return result_html(self.lake, self.run_id, head=self.head, counts=self.to_json())
        except AssayError as error:
            # The lake may be gone when a cell is drawn again; the counts remain valid.
            return f"<pre>{escape(self.summary())}\n\n{escape(str(error))}</pre>"


class TooManyRejected(InputError):
    """The share of rejected items of a complete run exceeds the limit.

    Args:
        result: Result of the run.
        share: Limit of the share, in [0, 1].
    """

    def __init__(self, result: Moderation, share: float) -> None:
        self.result = result
        self.share = share
        seen = result.rejected / result.items if result.items else 0.0
        most = most_first(result.rejected_by_reason)[:_REASONS_NAMED]
        reasons = ", ".join(f"{name} {n:,}" for name, n in most)
        super().__init__(
            f"{result.rejected:,} of {result.items:,} items were rejected, a share of {seen:.3g};"
            f" --fail-on-rejected allows {share:g}; most frequent reasons: {reasons or 'unknown'}."
            " The results of the run are committed; correct the sources or raise the limit"
        )

    def __reduce__(self) -> tuple[type[TooManyRejected], tuple[Moderation, float]]:
        return type(self), (self.result, self.share)
