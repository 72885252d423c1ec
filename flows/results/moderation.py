"""Result of a run: its counts, access to its rows, and a cell of a notebook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from ...data.commands import command
from ...data.errors import AssayError, ConfigError, InputError
from ...data.text.wording import counted
from .counts import RunCounts, most_first

if TYPE_CHECKING:
    import datasets
    import numpy as np
    import pandas
    import polars as pl
    from numpy.typing import NDArray

    from ...data.store.lake import Lake
    from ...tasks.publish.data_files.formats import Format
    from ...tasks.publish.publish import PublishResult
    from ...tasks.runs.run_record import RunRecord
    from .explained import Explained
    from .gallery import Gallery
    from .guarantee import ReliabilityDiagram, RunGuarantee

_REASONS_NAMED: Final = 3
_REVIEW: Final = "assay.flows.notebook.review.open_review"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moderation(RunCounts):
    """Result of a run: its counts, and access to its rows in the lake.

    A row is an item of the run, numbered as in the source; `explain(3)` and `similar(3)` take its
    number. All methods read the lake as it is when they are called.

    Examples:
        >>> import numpy as np
        >>> import assay
        >>> images = np.random.default_rng(0).integers(0, 256, (3, 480, 480, 3), dtype=np.uint8)
        >>> result = assay.moderate(images, lake="lake", detector="mini", quiet=True)
        >>> rows = result.to_polars()
        >>> rows["source_uri"].to_list()
        ['memory:///images!0', 'memory:///images!1', 'memory:///images!2']
        >>> result.embeddings().shape
        (3, 192)
        >>> len(result.gallery("prob_fake >= 0"))
        3
        >>> result.similar(0, k=2).to_polars()["rank"].to_list()
        [1, 2]
        >>> result.explain(0).explanation.rollout.shape
        (24, 24)
        >>> print(result.guarantee())
        No guarantee: these thresholds rest on no labelled images of yours.
    """

    def scores(self) -> pl.DataFrame:
        """Return one row per image of the run, by descending score.

        Columns: image_id, source_uri, prob_fake (float32 or null), decision, reasons (list).

        Raises:
            InputError: The lake has no record of the run.
            StoreError: The lake cannot be read.
        """
        from ...data.store.lake import Lake
        from ...tasks.runs.run_record import images_by_score

        return (
            images_by_score(Lake(self.lake, create=False), self.run_id)
            .select("image_id", "source_uri", "prob_fake", "decision", "reasons")
            .collect()
        )

    def to_polars(self, *, embeddings: bool = False) -> pl.DataFrame:
        """Return one row per item of the run, in the order of its sources' rows.

        A run over the whole lake has one row per image. The columns `row`, `source_uri`, `status`,
        `reason` and `detail` are those of the item; `image_id`, `prob_fake`, `logit`, `decision`,
        `reasons`, `score_status`, `score_reason`, `domain`, `label` and `label_evidence` those of
        its image, null for a rejected item.

        Args:
            embeddings: Whether to add the column `embedding`, an array of D numbers, null for none.

        Raises:
            InputError: The lake has no record of the run.
            StoreError: The lake cannot be read.
        """
        from .item_rows import item_rows, with_embeddings

        lake, run = self._opened()
        rows = item_rows(lake, run)
        return with_embeddings(lake, run.key, rows) if embeddings else rows

    def to_pandas(self) -> pandas.DataFrame:
        """Return the rows of `to_polars` as a frame of pandas."""
        return self.to_polars().to_pandas()

    def to_datasets(self) -> datasets.Dataset:
        """Return the images and rows of the run as a `datasets.Dataset`, without rejected items.

        The images are copied to the cache of `datasets`, a few at a time.
        """
        from .hub_dataset import dataset_of

        return dataset_of(self.lake, self.to_polars())

    def to_files(self, folder: str | PathLike[str]) -> pl.DataFrame:
        """Write the images of the run as files named by their ids, and return the rows with paths.

        Files that are there already are kept.

        Args:
            folder: Folder to write to; created if missing.

        Returns:
            The rows of `to_polars` and their absolute `path`, null for a rejected item.

        Raises:
            ConfigError: The folder lies in a lake.
            StoreError: An image cannot be read, or a file cannot be written.
        """
        from .item_rows import item_rows
        from .saved_images import save_images

        lake, run = self._opened()
        return save_images(lake, item_rows(lake, run), Path(folder))

    def flagged(self) -> pl.DataFrame:
        """Return the rows of `to_polars` that are flagged, the highest score first."""
        rows = self.to_polars().filter(decision="flag")
        return rows.sort("prob_fake", "row", descending=[True, False])

    def embeddings(self) -> NDArray[np.float32]:
        """Return the embeddings as a matrix (N, D), one row per row of `to_polars`.

        A row without a score, and every row of a detector without embeddings, is NaN; D is 0 if no
        image of the run has an embedding.
        """
        from .item_rows import embedding_matrix, item_rows

        lake, run = self._opened()
        return embedding_matrix(lake, run.key, item_rows(lake, run)["image_id"])

    def gallery(
        self,
        filter: str | pl.Expr | None = None,  # noqa: A002 - as polars has it
        *,
        n: int = 24,
    ) -> Gallery:
        """Return images of the run for a cell: blurred until clicked, the highest score first.

        Args:
            filter: Decision such as "flag", condition in SQL such as "prob_fake > 0.9 and domain =
                'art'", or expression of polars, on the columns of `to_polars`; None for all images.
            n: Largest number of images in the cell, 1 to 60.

        Raises:
            ConfigError: The filter is no decision, condition or expression, or `n` is out of range.
        """
        from .gallery import MAX_IMAGES, Gallery, chosen_rows

        if not 1 <= n <= MAX_IMAGES:
            raise ConfigError(f"n is {n}; allowed: 1 to {MAX_IMAGES}")
        title = "all images" if filter is None else str(filter)
        return Gallery(self.lake, chosen_rows(self.to_polars(), filter), title, n=n)

    def explain(self, item: int | str, *, detector: str | None = None) -> Explained:
        """Return maps of where the network attends in an image of the run.

        Args:
            item: Number of a row of `to_polars`; or the start of an image's id, its URI, or the end
                of its path.
            detector: Folder of the detector, if it has no name.

        Raises:
            ConfigError: The detector is in a folder that is not given, or is no ViT.
            InputError: There is no such image, or the run has no scores.
        """
        from .explained import explain_image
        from .item_rows import image_at

        lake, run = self._opened()
        image_id = image_at(lake, run, item)
        if run.key is None:
            raise InputError(
                f"run {self.run_id} has no scores; run: {command('score', lake=self.lake)}"
            )
        return explain_image(lake, image_id, run.key, detector=detector)

    def similar(
        self, item: int | str, k: int = 12, *, by: Literal["embedding", "phash", "both"] = "both"
    ) -> Gallery:
        """Return the images of the lake that are most similar to an image of the run.

        Args:
            item: Number of a row of `to_polars`; or the start of an image's id, its URI, or the end
                of its path.
            k: Number of images.
            by: Measure of similarity: the detector's embedding, the perceptual hash, or both.

        Raises:
            ConfigError: `k` is out of range.
            InputError: There is no such image, or the lake has no embeddings.
        """
        from .item_rows import image_at
        from .neighbours import similar_gallery

        lake, run = self._opened()
        image_id = image_at(lake, run, item)
        return similar_gallery(lake, image_id, k=k, by=by, detector=run.detector_id)

    def guarantee(self) -> RunGuarantee:
        """Return what the thresholds of the run promise, in words and numbers.

        It draws itself in a cell; `.sentence`, `.holds`, `.precision()` and `.domains()` have the
        parts. Without a calibration it says that there is no guarantee.

        Raises:
            ConfigError: The run decided nothing, or the rules of its policy are not available.
            StoreError: The lake cannot be read.
        """
        from .guarantee import guarantee_of_run

        return guarantee_of_run(*self._opened())

    def reliability(self) -> ReliabilityDiagram:
        """Return how right the calibrated probabilities are, against the labelled images.

        It draws itself in a cell as a reliability diagram; `.to_polars()` has its ranges.

        Raises:
            ConfigError: The run has no calibrated probabilities.
            StoreError: The lake cannot be read.
        """
        from .guarantee import reliability_of_run

        return reliability_of_run(*self._opened())

    def publish(
        self,
        out: str | PathLike[str],
        *,
        format: Format = "hf",  # noqa: A002
        where: str | pl.Expr | None = None,
        cap: Mapping[str, int] | None = None,
        balance: Literal["label", "domain", "source"] | None = None,
        exclude_license_flags: Sequence[str] = (),
        only_labelled: bool = False,
        labels_from_decisions: bool = False,
        seed: int = 0,
        embeddings: bool = False,
        overwrite: bool = False,
        allow_shortcuts: bool = False,
        align_encoding: bool = False,
    ) -> PublishResult:
        """Publish the images of the run as a labelled dataset, split by groups of near-duplicates.

        Scores and decisions are those of the run.

        Args:
            out: Folder to create, or a prefix of an object store, such as `s3://bucket/dataset`.
            format: Format of the data files: "hf" for Parquet with the features of `datasets`,
                "parquet" for Parquet with plain columns, "webdataset" for tar shards.
            where: Condition on the published rows, in SQL or as an expression of polars.
            cap: Largest number of images per value of `label`, `domain` or `source` (the folder,
                archive or address above an image), by column.
            balance: One of these columns, with as many images of each value; default: none.
            exclude_license_flags: Licence flags whose images, and all made from them, are left out.
            only_labelled: Whether to leave out images without a label.
            labels_from_decisions: Whether an image without any evidence gets its label from the
                decision.
            seed: Seed of the draw and of the splits.
            embeddings: Whether each row has the embedding of the scores' detector.
            overwrite: Whether to replace `out` if it is a dataset published by assay.
            allow_shortcuts: Whether to publish with a warning although the files alone tell fake
                from real.
            align_encoding: Whether to encode all images alike.

        Raises:
            ConfigError: An argument is invalid, or `out` exists already.
            InputError: There is no image to publish.
            GateRefused: The files alone tell fake from real; or near-duplicates, or an image and
                its parent, are in different splits.
            StoreError: The lake cannot be read, or the folder cannot be written.
        """
        from ...tasks.publish.publish import publish
        from ...tasks.runs.run_record import ids_of_run

        lake, run = self._opened()
        ids = ids_of_run(lake, run)
        return publish(
            lake,
            str(out),
            key=run.key,
            policy_id=run.policy_id,
            ids=None if ids is None else ids.to_list(),
            format=format,
            where=where,
            cap=cap,
            balance=balance,
            exclude_license_flags=exclude_license_flags,
            only_labelled=only_labelled,
            labels_from_decisions=labels_from_decisions,
            seed=seed,
            embeddings=embeddings,
            overwrite=overwrite,
            allow_shortcuts=allow_shortcuts,
            align_encoding=align_encoding,
        )

    def review(
        self,
        *,
        where: str | None = None,
        reviewer: str | None = None,
        second_opinion: bool = False,
    ) -> Any:
        """Return the widget of `assay.review` for the images of the run.

        Args:
            where: Condition in SQL on the images, such as "decision = 'flag'".
            reviewer: Name under which answers are saved [default: the name of the user].
            second_opinion: Whether to show images too that another reviewer has answered.

        Raises:
            ConfigError: The packages of notebooks are not installed, or the condition is not
                allowed.
            InputError: There are no images to review, or the reviewer's name is not allowed.
        """
        try:
            # By its name: the widget reads results, so it comes after them.
            module = import_module(_REVIEW)
        except ImportError as error:
            page = command("review", "serve", lake=self.lake)
            raise ConfigError(
                f"reviewing in a notebook needs packages that are not installed ({error}); run: pip"
                f" install 'assay[notebook]', or review in the browser: {page}"
            ) from error
        return module.review(self, where=where, reviewer=reviewer, second_opinion=second_opinion)

    def _opened(self) -> tuple[Lake, RunRecord]:
        """Return the lake and the record of the run."""
        from ...data.store.lake import Lake
        from ...tasks.runs.run_record import find_run

        lake = Lake(self.lake, create=False)
        return lake, find_run(lake, self.run_id)

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
            f"{result.rejected:,} of {counted(result.items, 'item was', 'items were')} rejected, a"
            f" share of {seen:.3g};"
            f" --fail-on-rejected allows {share:g}; most frequent reasons: {reasons or 'unknown'}."
            " The results of the run are committed; correct the sources or raise the limit"
        )

    def __reduce__(self) -> tuple[type[TooManyRejected], tuple[Moderation, float]]:
        return type(self), (self.result, self.share)
