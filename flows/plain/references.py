"""What steps take and return: small frozen values that name rows of a lake, and hold none.

Each can be pickled and sent as JSON, so that a step may run in another process or on another
machine than the one before it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from ...data.errors import ConfigError
from ...data.score_key import ScoreKey
from ...tasks.drift.of_run import RunDrift

if TYPE_CHECKING:
    import polars as pl


class Reference:
    """Base of the values that steps pass on."""

    __slots__ = ()

    def to_json(self) -> dict[str, Any]:
        """Return the value as plain values, from which `from_json` makes it again."""
        return dataclasses.asdict(self)  # type: ignore[call-overload,no-any-return]

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return the value that `to_json` describes.

        Raises:
            ConfigError: A part is missing, unknown or of another type.
        """
        from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

        try:
            checked = with_config(ConfigDict(extra="forbid"))(cls)
            made: Self = TypeAdapter(checked).validate_python(dict(values))
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            raise ConfigError(
                f"{place} is not as in a {cls.__name__}: {first['msg']}; pass what to_json returned"
            ) from error
        return made


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch(Reference):
    """An ingested batch, or the images of a whole lake.

    `items` = `stored` + `duplicates` + `rejected`; `unchanged` of them were known and not read
    again.

    Attributes:
        lake: Address of the lake.
        batch_id: Id of the batch; None for the whole lake.
        run_id: Id of the run of the step that returned the value.
        settings: Settings that the steps so far were run with, for those that follow.
    """

    lake: str
    batch_id: str | None
    run_id: str
    settings: dict[str, Any] = field(default_factory=dict)
    items: int = 0
    stored: int = 0
    duplicates: int = 0
    rejected: int = 0
    unchanged: int = 0

    def rows(self) -> pl.DataFrame:
        """Return one row per image, by descending score.

        Columns: image_id, source_uri, domain, detector, backend, score_status, score_reason,
        prob_fake, decision, reasons (list), label, label_evidence; null where a later step has yet
        to fill them.

        Raises:
            InputError: The lake has no record of the run.
            StoreError: The lake cannot be read.
        """
        from ...data.store.lake import Lake
        from ...tasks.runs.run_record import images_by_score

        return images_by_score(Lake(self.lake, create=False), self.run_id).collect()

    def ids(self) -> pl.Series:
        """Return the ids of the images, each once.

        Raises:
            StoreError: The lake cannot be read.
        """
        import polars as pl

        from ...data.store.lake import Lake
        from ..steps import images_of

        lake = Lake(self.lake, create=False)
        ids = images_of(lake, self.batch_id)
        if ids is None:
            images = lake.scan("images").select(pl.col("image_id").unique())
            ids = images.collect().get_column("image_id")
        return ids


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored(Batch):
    """A batch whose images have scores under one key.

    `scored` and `failed` count images of the step, `already_scored` those of earlier runs.

    Attributes:
        score_run_id: Id of the run that scored.
    """

    score_run_id: str
    detector: str
    weights_sha256: str
    profile: str
    precision: str
    scored: int = 0
    failed: int = 0
    already_scored: int = 0

    @property
    def key(self) -> ScoreKey:
        """Key of the scores."""
        return ScoreKey(**{name: getattr(self, name) for name in ScoreKey.columns()})


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided(Scored):
    """A scored batch whose images have decisions under one policy.

    Attributes:
        policy_id: Id of the policy.
        decisions: Number of images per decision: clear, review, flag.
    """

    policy_id: str
    decisions: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmented(Decided):
    """The images of a plan, scored and decided.

    `made` counts images of the step, `known` those of earlier runs, `not_made` those that could
    not be made.
    """

    made: int = 0
    known: int = 0
    not_made: int = 0
    evasion_report: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared(Reference):
    """The images that a step scored, compared with earlier ones.

    Attributes:
        lake: Address of the lake.
        batch_id: Id of the batch; None for the whole lake.
        run_id: Id of the run that scored the images.
        drift: Figures of all images and of the sources that have shifted; None with too few images.
    """

    lake: str
    batch_id: str | None
    run_id: str
    drift: RunDrift | None

    @property
    def has_drifted(self) -> bool:
        """Whether anything has shifted, in all images or in a source."""
        return self.drift is not None and self.drift.has_drifted


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset(Reference):
    """A published dataset.

    Attributes:
        lake: Address of the lake that it was made from.
        out: Folder of the dataset.
        splits: Number of images per split.
        labels: Number of images per label.
        groups: Number of groups of near-duplicates.
        files: Data files, relative to `out`.
        split_note: Difference between the requested and the actual shares; None without one.
        versions: Version of each table that it was made from; None for an empty table.
    """

    lake: str
    out: str
    splits: dict[str, int]
    labels: dict[str, int]
    groups: int
    files: tuple[str, ...]
    split_note: str | None = None
    versions: dict[str, int | None] = field(default_factory=dict)

    @property
    def images(self) -> int:
        """Number of images."""
        return sum(self.splits.values())

    def rows(self) -> pl.DataFrame:
        """Return the published rows with their split, without the images' bytes.

        `label` is as in the files: in format "hf" the number of the class (0 real, 1 fake,
        2 laundered, -1 none), otherwise its text or null.
        """
        import polars as pl

        from ...data.store.places.place_at import place_at
        from ...tasks.publish.data_files.reading import rows_in

        place = place_at(self.out)
        return pl.concat(rows_in(place, name) for name in self.files)
