"""Made images in the lake: the finished ones, and the failures.

An image is finished if the lake has its row in `synthetics` and its bytes. Rows are found by the
key of their job, not by plan, so that plans share common jobs.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl
from PIL import ExifTags, Image

from ...data.errors import StoreError
from ...data.schema import Row
from ...data.store.lake import Lake
from ...data.vocabulary import Reason
from ...synth.job import Job
from ..latest_rows import latest_items

_MADE_SCHEMA = pl.Schema(
    {
        "key": pl.String(),
        "block": pl.String(),
        "image_id": pl.String(),
        "parent_id": pl.String(),
        "label": pl.String(),
        "method": pl.String(),
        "strength": pl.Float64(),
        "params": pl.String(),
        "license_flags": pl.List(pl.String()),
    }
)


def batch_of(plan_id: str) -> str:
    """Return the id of the batch of a plan's images."""
    return f"s-{plan_id}"


def uri_of(job: Job) -> str:
    """Return the source_uri of a job's image, which depends on the settings as written in the plan.

    An image that is made again, since a file named in a setting was replaced, has the same
    source_uri and supersedes the earlier one.
    """
    return f"synth:///{job.method}/{job.recipe or job.key}"


def made_of(lake: Lake, jobs: Sequence[Job]) -> pl.DataFrame:
    """Return the finished images of jobs, one row per job.

    Block and settings are those of the job. Of several rows for one job, the latest one with the
    measurements that the job asks for counts. Rows with keys of the first version count if they
    identify the job beyond doubt.

    Args:
        lake: Lake of the images.
        jobs: Jobs to look up.

    Returns:
        Columns key, block, image_id, parent_id, label, method, strength, params, license_flags.

    Raises:
        StoreError: The lake cannot be read.
    """
    by_key: dict[str, list[Job]] = defaultdict(list)
    by_recipe: dict[str, list[Job]] = defaultdict(list)
    for job in jobs:
        by_key[job.key].append(job)
        if job.contents.recorded is not None:
            by_recipe[job.recipe].append(job)
    params = pl.col("params")
    rows = (
        lake.scan("synthetics")
        .with_columns(
            key=params.str.json_path_match("$.key"),
            key_version=params.str.json_path_match("$.key_version"),
            attacked=params.str.json_path_match("$.attacked"),
        )
        .filter(pl.col("key").is_in([*by_key, *by_recipe]))
        # An image with lost bytes is unfinished and will be made again.
        .join(lake.scan("images").select("image_id"), on="image_id", how="semi")
        .sort("created_at", maintain_order=True)
        .collect()
    )
    rows_by_key: dict[str, list[Row]] = defaultdict(list)
    is_first = pl.col("key_version").is_null()
    plain = _plain(lake, rows.filter(is_first)["parent_id"].drop_nulls().unique().to_list())
    for row in rows.filter(is_first).iter_rows(named=True):
        for job in by_recipe[row["key"]]:
            if _is_same(row, job) and (job.parent_id is None or job.parent_id in plain):
                rows_by_key[job.key].append(row)
    for row in rows.filter(~is_first).iter_rows(named=True):
        rows_by_key[row["key"]].append(row)
    return pl.DataFrame(
        [
            _made_row(job, rows_by_key[key])
            for key, jobs in by_key.items()
            if key in rows_by_key
            for job in jobs
        ],
        schema=_MADE_SCHEMA,
    )


def failures_of(lake: Lake, jobs: Sequence[Job], batch_id: str) -> list[tuple[str, int]]:
    """Return the reasons why images of jobs could not be made, with counts, most frequent first.

    Args:
        lake: Lake of the sightings.
        jobs: Jobs to look up; a job made since has no failure.
        batch_id: Id of the plan's batch.
    """
    rows = (
        latest_items(lake, batch_id)
        .filter(
            pl.col("source_uri").is_in([uri_of(job) for job in jobs])
            & (pl.col("reason") == Reason.NOT_MADE.value)
        )
        # Details that differ in the parent's id only are one reason.
        .with_columns(pl.col("detail").str.replace_all(r"\b[0-9a-f]{64}\b", "IMAGE_ID"))
        .group_by("detail")
        .len()
        .sort(["len", "detail"], descending=[True, False])
        .collect()
    )
    return list(rows.select("detail", "len").iter_rows())


def _made_row(job: Job, rows: Sequence[Row]) -> Row:
    noted = [json.loads(row["params"]) for row in rows]
    measured = [at for at, params in enumerate(noted) if is_measured(job, params)]
    at = measured[-1] if measured else -1
    row, params = rows[at], noted[at] | {"settings": dict(job.settings)}
    return {name: row.get(name) for name in _MADE_SCHEMA} | {
        "key": job.key,
        "block": job.block,
        "params": json.dumps(params, sort_keys=True),
    }


def _plain(lake: Lake, image_ids: Sequence[str]) -> set[str]:
    """Return the upright RGB images, which every version of assay decodes to the same pixels."""
    plain = set()
    for image_id, raw in bytes_of(lake, image_ids).items():
        if isinstance(raw, str):
            continue
        with contextlib.suppress(OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            image = Image.open(io.BytesIO(raw))
            if image.mode == "RGB" and image.getexif().get(ExifTags.Base.Orientation, 1) == 1:
                plain.add(image_id)
    return plain


def _is_same(row: Row, job: Job) -> bool:
    """Return whether the ids in a row of the first key version match the job."""
    recorded = job.contents.recorded or {}
    return all(row[name] == value for name, value in recorded.items())


def is_measured(job: Job, params: Mapping[str, Any]) -> bool:
    """Return whether the `params` of an image's row hold all measurements that its job asks for."""
    return all(params.get(name) == by for name, by in job.contents.measures.items())


def bytes_of(lake: Lake, image_ids: Iterable[str]) -> dict[str, bytes | str]:
    """Return the bytes per image, or a text that says why they cannot be read.

    Args:
        lake: Lake of the images.
        image_ids: Ids of the images.
    """
    wanted = list(image_ids)
    if not wanted:
        return {}
    out: dict[str, bytes | str] = dict.fromkeys(wanted, f"{lake.uri} no longer has the image")
    stored = (
        lake.scan("images")
        .filter(pl.col("image_id").is_in(wanted))
        .select(pl.col("image_id").unique())
        .collect()["image_id"]
        .to_list()
    )
    try:
        out |= dict(lake.images(stored))
    except StoreError:
        # One of them is damaged, so each is read on its own.
        for image_id in stored:
            try:
                out[image_id] = lake.image(image_id)
            except StoreError as error:
                out[image_id] = str(error)
    return out
