"""Made pictures as the lake has them: those that are finished, and why others could not be made.

A picture is finished when its row in `synthetics` is there and its bytes are too. Rows are found by
a job's key, whichever plan asked for it first, so that plans share what they have in common.
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

from ..data.errors import StoreError
from ..data.schema import Reason, Row
from ..data.store.lake import Lake
from ..synth.job import Job
from .latest_rows import latest_items

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
    """Return the batch that a plan's pictures belong to."""
    return f"s-{plan_id}"


def uri_of(job: Job) -> str:
    """Return a picture's name among the sightings: by its settings, whatever they stand for.

    So a picture made again, since a file behind a setting was replaced, takes the other's place.
    """
    return f"synth:///{job.method}/{job.recipe or job.key}"


def made_of(lake: Lake, jobs: Sequence[Job]) -> pl.DataFrame:
    """Return the pictures of these jobs that are finished, one row per job.

    Block and settings are the job's. Of several rows for one job, the latest counts that measures
    what the job asks for. Rows of the first version of keys count where they tell enough to be
    sure that they are of the same job.
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
        # One whose bytes were lost is not finished any more: it is made again.
        .join(lake.scan("images").select("image_id"), on="image_id", how="semi")
        .sort("created_at", maintain_order=True)
        .collect()
    )
    found: dict[str, list[Row]] = defaultdict(list)
    is_first = pl.col("key_version").is_null()
    plain = _plain(lake, rows.filter(is_first)["parent_id"].drop_nulls().unique().to_list())
    for row in rows.filter(is_first).iter_rows(named=True):
        for job in by_recipe[row["key"]]:
            if _is_same(row, job) and (job.parent_id is None or job.parent_id in plain):
                found[job.key].append(row)
    for row in rows.filter(~is_first).iter_rows(named=True):
        found[row["key"]].append(row)
    return pl.DataFrame(
        [
            _made_row(job, found[key])
            for key, jobs in by_key.items()
            if key in found
            for job in jobs
        ],
        schema=_MADE_SCHEMA,
    )


def failures_of(lake: Lake, jobs: Sequence[Job], batch_id: str) -> list[tuple[str, int]]:
    """Return why pictures of these jobs could not be made, and how many each time, most first.

    A job that was made since, or is none of these, does not count.
    """
    rows = (
        latest_items(lake, batch_id)
        .filter(
            pl.col("source_uri").is_in([uri_of(job) for job in jobs])
            & (pl.col("reason") == Reason.NOT_MADE.value)
        )
        # What differs by the parent alone is one reason.
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
    """Those of the images that every version decodes to the same pixels: upright and RGB."""
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
    """Whether a row of the first version is of this job, as far as ids tell."""
    recorded = job.contents.recorded or {}
    return all(row[name] == value for name, value in recorded.items())


def is_measured(job: Job, params: Mapping[str, Any]) -> bool:
    """Return whether a picture was measured as its job asks, by what its row's `params` say."""
    return all(params.get(name) == by for name, by in job.contents.measures.items())


def bytes_of(lake: Lake, image_ids: Iterable[str]) -> dict[str, bytes | str]:
    """Return the bytes of images by id, or why there are none."""
    wanted = list(image_ids)
    if not wanted:
        return {}
    out: dict[str, bytes | str] = dict.fromkeys(wanted, f"it is not in {lake.uri} any more")
    there = (
        lake.scan("images")
        .filter(pl.col("image_id").is_in(wanted))
        .select(pl.col("image_id").unique())
        .collect()["image_id"]
        .to_list()
    )
    try:
        out |= dict(lake.images(there))
    except StoreError:
        # One of them is damaged: the others are read one by one.
        for image_id in there:
            try:
                out[image_id] = lake.image(image_id)
            except StoreError as error:
                out[image_id] = str(error)
    return out
