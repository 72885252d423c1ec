"""Views: scores of the tiles of an image, in addition to the score of its centre square.

A view never replaces the score: it can only move an image from clear to review. Rows are committed
like scores; an image whose tiles have rows is not scored again.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Final

import polars as pl

from ..data.errors import ConfigError, UnreadableImage
from ..data.images.decode import decode_rgb
from ..data.images.inspect_image import DEFAULT_LIMITS, ImageLimits
from ..data.schema import Row
from ..data.score_key import ScoreKey
from ..data.store.lake import Lake
from ..data.vocabulary import Reason, ScoreStatus
from .append_missing import append_missing
from .detector.detector import Detector
from .detector.inputs.profiles import Profile
from .detector.inputs.tiles import Tile, cut, tiles_of
from .detector.streaming import forward_in_parts, n_streams
from .latest_rows import WHOLE, Named, Part, latest_scores
from .work.commit_portions import commit_portions
from .work.ordered_map import ordered_map
from .work.workers import workers

MODES: Final = ("centre", "tiles", "adaptive")
# Probabilities that are neither clearly real nor clearly AI-generated; other detectors take a
# second look in the same range.
UNCERTAIN: Final = (0.15, 0.85)


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewCounts:
    """Counts of a pass over tiles.

    Attributes:
        images: Images with new rows.
        scored: Tiles scored.
        failed: Tiles, and images without tiles, that could not be scored.
    """

    images: int = 0
    scored: int = 0
    failed: int = 0

    def __add__(self, other: ViewCounts) -> ViewCounts:
        return ViewCounts(
            **{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)}
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """The score of one tile, or the reason for having none.

    Attributes:
        tile: Tile of the image; None if the image could not be decoded.
        logit: Logit of the tile; None if it could not be scored.
        reason: `Reason` for a missing logit.
    """

    tile: Tile | None
    logit: float | None
    reason: Reason | None


def check_mode(mode: str) -> None:
    """Refuse an unknown mode of views.

    Args:
        mode: Value of the setting `views`.

    Raises:
        ConfigError: The mode is none of `MODES`.
    """
    if mode not in MODES:
        raise ConfigError(f"views {mode!r} is unknown; choose one of {', '.join(MODES)}")


def views_pending(
    lake: Lake, key: ScoreKey, *, side_px: int, mode: str, image_ids: pl.Series | None = None
) -> pl.DataFrame:
    """Return the images whose tiles have no rows yet, in the order of the stored bytes.

    Images with a side shorter than the network's input have no tiles.

    Args:
        lake: Lake of the images.
        key: Key of views and scores.
        side_px: Side of the network's input.
        mode: Choice of images: `tiles` for every image, `adaptive` for those with a probability
            in `UNCERTAIN`.
        image_ids: Ids to choose from; None for all images of the lake.

    Returns:
        Columns image_id, shard, row_group, row.

    Raises:
        StoreError: The lake cannot be read.
    """
    part = WHOLE if image_ids is None else Named(ids=tuple(image_ids))
    images = (
        part.rows(lake, "images")
        .filter(pl.min_horizontal("width_px", "height_px") >= side_px)
        .select("image_id", "shard", "row_group", "row")
    )
    if mode == "adaptive":
        uncertain = latest_scores(lake, key, part=part).filter(
            (pl.col("prob_fake") >= UNCERTAIN[0]) & (pl.col("prob_fake") < UNCERTAIN[1])
        )
        images = images.join(uncertain.select("image_id"), on="image_id", how="semi")
    seen = part.rows(lake, "views").filter(key.where()).select("image_id")
    return (
        images.join(seen, on="image_id", how="anti")
        .unique("image_id", keep="any")
        .sort("shard", "row_group", "row")
        .collect()
    )


def views_of(raw: bytes, detector: Detector, limits: ImageLimits = DEFAULT_LIMITS) -> list[View]:
    """Score every tile of an image.

    Args:
        raw: Encoded bytes of the image.
        detector: Detector that scores.
        limits: Limits on decoding.

    Returns:
        One view per tile, or one view with a reason if the image cannot be decoded.
    """
    try:
        image = decode_rgb(raw, detector.profile.decode, limits=limits)
    except UnreadableImage as error:
        return [View(tile=None, logit=None, reason=error.reason)]
    except MemoryError:
        return [View(tile=None, logit=None, reason=Reason.OUT_OF_MEMORY)]
    out = []
    for tile in tiles_of(image.size, detector.profile.crop_px):
        # One tile at a time: up to 16 tiles would need 16 times the memory of one input.
        (forwarded,) = forward_in_parts(detector, [cut(image, tile, detector.profile)])
        if isinstance(forwarded, Reason):
            out.append(View(tile=tile, logit=None, reason=forwarded))
        else:
            out.append(View(tile=tile, logit=forwarded[0], reason=None))
    return out


def view_shard(
    lake: Lake,
    shard: str,
    image_ids: Sequence[str],
    detector: Detector,
    *,
    run_id: str,
    n_workers: int | None = None,
    limits: ImageLimits = DEFAULT_LIMITS,
    on_item: Callable[[int], None] | None = None,
) -> ViewCounts:
    """Score the tiles of images in one shard, and commit one row per tile.

    Args:
        lake: Lake of the images.
        shard: Name of the shard, part of the transactions' names.
        image_ids: Ids of images in that shard, from `views_pending`.
        detector: Detector that scores.
        run_id: Id of the run, written to the rows.
        n_workers: Number of threads; default: one per core.
        limits: Limits on decoding.
        on_item: Callback with the number of images finished since its last call.

    Raises:
        StoreError: Bytes cannot be read, or rows cannot be written; committed rows stay.
        BaseException: Any other error, after a commit of the finished rows; see `kept_of`.
    """
    streams = n_streams(n_workers) if detector.runner.device == "cpu" else detector.runner.n_lanes

    def work(item: tuple[str, bytes]) -> tuple[str, list[View]]:
        return item[0], views_of(item[1], detector, limits)

    since = lake.version("views")
    seen = set(_seen(lake.rows_of("views", image_ids), detector.key, image_ids))
    left = [image_id for image_id in image_ids if image_id not in seen]

    def parts() -> Generator[tuple[list[Row], int]]:
        with (
            detector.runner.streams(streams) as begin,
            workers(streams, "assay-views", begin) as pool,
        ):
            images = lake.images(left) if left else iter(())
            for image_id, views in ordered_map(pool, work, images, n_ahead=2 * streams):
                yield [_row(image_id, view, detector, run_id) for view in views], 1

    def commit(rows: Sequence[Row]) -> ViewCounts:
        return _counts_of(_commit(lake, rows, detector.key, run_id, since))

    with closing(parts()) as made:
        return commit_portions(made, commit, ViewCounts(), on_item=on_item)


def _counts_of(rows: Sequence[Row]) -> ViewCounts:
    n_failed = sum(row["reason"] is not None for row in rows)
    n_images = len({row["image_id"] for row in rows})
    return ViewCounts(images=n_images, scored=len(rows) - n_failed, failed=n_failed)


def highest_views(lake: Lake, key: ScoreKey, *, part: Part = WHOLE) -> pl.LazyFrame:
    """Return the highest probability of the views of each image.

    Args:
        lake: Lake of the views.
        key: Key of the views.
        part: Part of the images.

    Returns:
        Columns image_id and view_prob, in [0, 1]; null if no view has a score.
    """
    return (
        part.rows(lake, "views")
        .filter(key.where())
        .group_by("image_id")
        .agg(view_prob=(1 / (1 + (-pl.col("logit").cast(pl.Float64).max()).exp())))
    )


def _row(image_id: str, view: View, detector: Detector, run_id: str) -> Row:
    tile = view.tile
    return {
        "image_id": image_id,
        **detector.key.as_row(),
        "backend": detector.backend,
        "view": "none" if tile is None else tile.name,
        "left_px": None if tile is None else tile.left_px,
        "top_px": None if tile is None else tile.top_px,
        "side_px": None if tile is None else tile.side_px,
        "status": (ScoreStatus.SCORED if view.reason is None else ScoreStatus.FAILED).value,
        "reason": None if view.reason is None else view.reason.value,
        "logit": view.logit,
        "run_id": run_id,
        "scored_at": datetime.now(UTC),
    }


def _commit(
    lake: Lake, rows: Sequence[Row], key: ScoreKey, run_id: str, since: int | None
) -> list[Row]:
    """Append the rows of the images whose tiles no other run has scored under the key meanwhile."""
    ids = [row["image_id"] for row in rows]
    return append_missing(
        lake,
        "views",
        rows,
        since=since,
        name=lambda row: str(row["image_id"]),
        taken=lambda rows_since: set(_seen(rows_since, key, ids)),
        txn=f"views:{run_id}:{key.digest()}",
    )


def _seen(rows: pl.LazyFrame, key: ScoreKey, image_ids: Sequence[str]) -> pl.Series:
    """Return those of the given images that have rows of `views` under a key."""
    is_given = pl.col("image_id").is_in(list(image_ids))
    return rows.filter(key.where() & is_given).select("image_id").collect()["image_id"]


def tiles_cost(size_px: tuple[int, int], profile: Profile) -> int:
    """Return the number of passes through the network that the tiles of an image need.

    Args:
        size_px: Width and height of the image.
        profile: Preprocessing of the detector.
    """
    return len(tiles_of(size_px, profile.crop_px))
