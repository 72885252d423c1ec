"""The images of a lake that a dataset takes: by condition, by id, by label."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from ...data.errors import ConfigError, InputError, shorten
from ...data.sql_condition import parse_condition
from ...data.store.lake import Lake
from ...data.text.wording import counted
from .pinned import Pinned
from .rows import FEATURES, read_rows, with_label_text

# Images whose rows are in memory at a time.
_IDS_AT_A_TIME: Final = 250_000
_IDS_NAMED: Final = 3
_TYPES: Final[dict[str, type[pl.DataType]]] = {
    "string": pl.String,
    "class": pl.String,
    "float32": pl.Float32,
    "int32": pl.Int32,
    "int64": pl.Int64,
    "bool": pl.Boolean,
}
# The group of an image follows from all images, so that a condition on it would be one on others.
CONDITION_SCHEMA: Final = pl.Schema(
    {
        name: _TYPES[kind]()
        for name, kind in FEATURES.items()
        if kind in _TYPES and name != "group_id"
    }
)
"""Columns of a condition in SQL: those of the published rows, with the label as text."""
_ROW_SCHEMA: Final = pl.Schema(
    {**CONDITION_SCHEMA, "synthetic_license_flags": pl.List(pl.String())}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The images that a dataset takes of a lake; all by default.

    Attributes:
        where: Condition on the published rows, as SQL or as an expression of polars.
        ids: Distinct ids of images; None for all images.
        only_labelled: Whether images without a label are left out.
    """

    where: str | pl.Expr | None = None
    ids: pl.Series | None = None
    only_labelled: bool = False

    @classmethod
    def of(
        cls,
        *,
        where: str | pl.Expr | None = None,
        ids: Iterable[str] | None = None,
        only_labelled: bool = False,
    ) -> Selection:
        """Return a selection after checking its values.

        Raises:
            ConfigError: The condition is none on the published rows, or `ids` is a single text or
                holds something other than texts.
        """
        condition_of(where)
        return cls(
            where=where,
            ids=None if ids is None else distinct_ids(ids),
            only_labelled=only_labelled,
        )

    def kept(self, lake: Lake, pinned: Pinned, image_ids: pl.Series) -> pl.Series:
        """Return the ids that the selection takes of all ids of a lake, in their order.

        Args:
            lake: Lake of the images.
            pinned: Table versions, score key and policy.
            image_ids: Distinct ids of all images.

        Raises:
            InputError: An id is not that of an image.
            ConfigError: The condition fails on the rows.
            StoreError: The lake cannot be read.
        """
        images = image_ids.rename("image_id").to_frame()
        if self.ids is not None:
            wanted = self.ids.rename("image_id").to_frame()
            unknown = wanted.join(images, on="image_id", how="anti")["image_id"]
            if len(unknown):
                named = ", ".join(shorten(text, 64) for text in unknown.head(_IDS_NAMED))
                raise InputError(
                    f"{counted(len(unknown), 'id is no image', 'ids are no images')} of"
                    f" {lake.uri} ({len(self.ids):,} were given): "
                    f"{named}{', ...' if len(unknown) > _IDS_NAMED else ''}; allowed: image_id of "
                    "its images"
                )
            images = images.join(wanted, on="image_id", how="semi", maintain_order="left")
        condition = self._condition()
        if condition is None or images.is_empty():
            return images["image_id"]
        names = list(dict.fromkeys(["image_id", *condition.meta.root_names()]))
        rows = pl.concat(
            _with_text(read_rows(lake, pinned, some["image_id"], names))
            for some in images.iter_slices(_IDS_AT_A_TIME)
        )
        try:
            fit = rows.filter(condition)
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
            raise _refusal(self.where, error) from error
        return images.join(fit, on="image_id", how="semi", maintain_order="left")["image_id"]

    def record(self) -> dict[str, Any]:
        """Return the selection as plain values, with a hash in place of the ids."""
        ids = None
        if self.ids is not None:
            text = "\n".join(self.ids.sort())
            ids = {"count": len(self.ids), "sha256": hashlib.sha256(text.encode()).hexdigest()}
        where = self.where if isinstance(self.where, str | None) else str(self.where)
        return {"where": where, "ids": ids, "only_labelled": self.only_labelled}

    def describe(self) -> str:
        """Return the selection in words; empty if it takes all images."""
        parts = []
        if self.only_labelled:
            parts.append("with a label")
        if self.ids is not None:
            parts.append(f"named by {counted(len(self.ids), 'id')}")
        if self.where is not None:
            parts.append(f"where {self.record()['where']}")
        return ", ".join(parts)

    def _condition(self) -> pl.Expr | None:
        condition = condition_of(self.where)
        if not self.only_labelled:
            return condition
        labelled = pl.col("label").is_not_null()
        return labelled if condition is None else labelled & condition


def _with_text(rows: pl.DataFrame) -> pl.DataFrame:
    return with_label_text(rows) if "label" in rows.columns else rows


def condition_of(where: str | pl.Expr | None) -> pl.Expr | None:
    """Return a condition on the published rows as an expression; None for none.

    Raises:
        ConfigError: The condition is none on the published rows.
    """
    if where is None:
        return None
    if isinstance(where, str):
        return parse_condition(where, CONDITION_SCHEMA)
    if not isinstance(where, pl.Expr):
        raise ConfigError(
            f"where is a {type(where).__name__}; allowed: text in SQL or an expression of polars"
        )
    try:
        kind = pl.LazyFrame(schema=_ROW_SCHEMA).select(where.alias("where")).collect_schema()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise _refusal(where, error) from error
    if kind["where"] != pl.Boolean:
        raise _refusal(where, f"its value is {kind['where']}, not true or false")
    return where


def _refusal(where: object, why: BaseException | str) -> ConfigError:
    reason = shorten(str(why).partition("\n")[0], 100)
    return ConfigError(
        f"where = {shorten(str(where), 80)!r} is not a condition on the published rows: {reason}; "
        f"columns: {', '.join(_ROW_SCHEMA)}"
    )


def distinct_ids(ids: Iterable[str]) -> pl.Series:
    """Return ids as a series, each once.

    Raises:
        ConfigError: `ids` is a single text, or holds something other than texts.
    """
    if isinstance(ids, str):
        raise ConfigError(f"ids is the text {shorten(ids, 64)!r}; allowed: a list of image_id")
    try:
        series = ids if isinstance(ids, pl.Series) else pl.Series(list(ids), dtype=pl.String)
    except TypeError as error:
        raise ConfigError("ids holds something other than texts; allowed: image_id") from error
    if series.dtype == pl.Null:
        series = series.cast(pl.String)
    if series.dtype != pl.String:
        raise ConfigError(f"ids are of type {series.dtype}; allowed: texts, each an image_id")
    return series.drop_nulls().unique(maintain_order=True)
