"""Images that a notebook reviews: those of a run, of a condition, of a list of ids."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import polars as pl

from ....data.errors import ConfigError, InputError
from ....data.sql_condition import parse_condition
from ....data.store.lake import Lake
from ....data.vocabulary import Decision, ReviewKind
from ....tasks.browse.images import Scope, known_images, scope_of
from ....tasks.latest_rows import Named
from ....tasks.review.answer import require_image_id

CONDITION_SCHEMA: Final = pl.Schema(
    {
        "image_id": pl.String(),
        "decision": pl.String(),
        "prob_fake": pl.Float32(),
        "label": pl.String(),
        "label_evidence": pl.String(),
        "domain": pl.String(),
        "source_uri": pl.String(),
        "format": pl.String(),
        "width_px": pl.Int32(),
        "height_px": pl.Int32(),
        "n_bytes": pl.Int64(),
        "ai_declared": pl.String(),
    }
)
"""Columns of a condition on the images to review."""
_SHOWN: Final = ("image_id", "decision", "reasons", "prob_fake", "source_uri")
# An image in the band comes before a flagged one, and the most doubtful flag before the others.
_TO_LOOK_AT: Final = (Decision.REVIEW.value, Decision.FLAG.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One image to review, with what may be shown beside it.

    Attributes:
        image_id: Id of the image.
        kind: Occasion of the review, a word of `ReviewKind`; the reviewer does not see it.
        prob_fake: Score; None without one.
        decision: Decision; None without one.
        reasons: Reasons of the decision, words of `DecisionReason`.
        source_uri: Address of the latest sighting; None if unknown.
        run_id: Id of the run whose decision it is; None if none was named.
    """

    image_id: str
    kind: str = ReviewKind.GRID.value
    prob_fake: float | None = None
    decision: str | None = None
    reasons: Sequence[str] = ()
    source_uri: str | None = None
    run_id: str | None = None

    @classmethod
    def of_row(cls, row: dict[str, Any], *, run_id: str | None) -> Self:
        """Return the item of a row of `known_images`."""
        return cls(
            image_id=row["image_id"],
            prob_fake=row["prob_fake"],
            decision=row["decision"],
            reasons=tuple(row["reasons"] or ()),
            source_uri=row["source_uri"],
            run_id=run_id,
        )


def ids_to_review(lake: Lake, scope: Scope, where: str | None) -> list[str]:
    """Return the images of a run or a lake to review, in the order to review them.

    Args:
        lake: Lake of the images.
        scope: Images, and the key and policy of their scores and decisions.
        where: Condition in SQL on `CONDITION_SCHEMA`; None for images to review or flagged.

    Raises:
        ConfigError: The condition is not allowed.
    """
    if where is None:
        condition, columns = pl.col("decision").is_in(list(_TO_LOOK_AT)), {"decision"}
    else:
        condition = parse_condition(where, CONDITION_SCHEMA)
        columns = set(condition.meta.root_names())
    wanted = {"image_id", "decision", "prob_fake"} | columns
    rank = pl.col("decision").replace_strict(
        {word: place for place, word in enumerate(_TO_LOOK_AT)},
        default=len(_TO_LOOK_AT),
        return_dtype=pl.Int8,
    )
    # Scores near the thresholds: the highest of those in the band, the lowest of the flagged.
    doubt = pl.when(pl.col("decision") == Decision.FLAG.value).then("prob_fake")
    ranked = (
        known_images(lake, scope, columns=wanted)
        .filter(condition.fill_null(value=False))
        .select("image_id", rank=rank, doubt=doubt.otherwise(-pl.col("prob_fake")))
        .sort("rank", "doubt", "image_id", nulls_last=True)
    )
    return ranked.select("image_id").collect()["image_id"].to_list()


def ids_of_frame(given: Any) -> list[str]:
    """Return the distinct ids of a frame with a column image_id, a series or a list, in order.

    Raises:
        TypeError: The value is none of them.
        ConfigError: A frame has no column `image_id`.
        InputError: A text is no id of an image, or there is none.
    """
    if isinstance(given, pl.LazyFrame):
        given = given.collect()
    columns = getattr(given, "columns", None)
    if columns is not None:
        if "image_id" not in columns:
            raise ConfigError(
                f"the frame has the columns {', '.join(map(str, columns))[:200]}; allowed: a"
                " frame with a column image_id, such as result.scores()"
            )
        given = given["image_id"]
    if not isinstance(given, Iterable):
        raise TypeError(
            f"{type(given).__name__} cannot be reviewed; allowed: a result, a lake, a frame with a"
            " column image_id, or a list of ids"
        )
    values: Iterable[Any] = given.to_list() if hasattr(given, "to_list") else given
    ids = list(dict.fromkeys(values))
    if not ids:
        raise InputError("there are no images to review: the frame or the list is empty")
    for image_id in ids:
        require_image_id(image_id)
    return ids


def items_of(lake: Lake, image_ids: Sequence[str], scope: Scope | None = None) -> list[Item]:
    """Return the items of some images, in the order given; unknown ids are left out.

    Args:
        lake: Lake of the images.
        image_ids: Ids of the images.
        scope: Key and policy of scores and decisions [default: the lake's last ones].
    """
    scope = scope or scope_of(lake)
    whole = Scope(run_id=scope.run_id, key=scope.key, policy_id=scope.policy_id)
    part = Named(ids=tuple(image_ids))
    rows = known_images(lake, whole, part=part, columns=_SHOWN).collect()
    by_id = {row["image_id"]: row for row in rows.iter_rows(named=True)}
    return [
        Item.of_row(by_id[image_id], run_id=scope.run_id)
        for image_id in image_ids
        if image_id in by_id
    ]
