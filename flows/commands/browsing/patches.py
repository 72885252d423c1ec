"""`assay patches`: patch embeddings of the images of a lake."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from ....data.text.wording import counted
from ..options import (
    AsJson,
    DryRun,
    LakeUri,
    Network,
    open_lake,
    print_effects,
    print_result,
    request_of,
)


def patches(
    *,
    to: Path,
    lake: LakeUri = None,
    network: Network = None,
    dtype: Literal["float16", "float32"] = "float16",
    limit: int | None = None,
    json_: AsJson = False,
    dry_run: DryRun = False,
) -> None:
    """Write the patch embeddings of all images of a lake to a Parquet file.

    Args:
        to: Parquet file to write.
        lake: Folder of the lake, or its s3:// prefix.
        network: Detector and its preprocessing.
        dtype: Number format of the embeddings: float16 or float32.
        limit: Largest number of images.
        json_: One JSON object on stdout.
        dry_run: Counts and paths of what would be read and written; nothing is changed.
    """
    from ....tasks.detector.weights.checkpoint import chosen_profile, find_checkpoint
    from ....tasks.explain.patches import expected_mb, write_patches
    from ...progress import for_terminal, say, watched

    opened = open_lake(lake)
    if dry_run:
        from ...dry_run.lookups import patch_effects

        print_effects(patch_effects(opened, to, limit=limit), as_json=json_)
        return
    request = request_of((), network)
    checkpoint = find_checkpoint(request.detector, positive=request.positive)
    expected = expected_mb(opened, checkpoint, dtype, limit)
    say(f"up to {expected:,.0f} MB will be written to {to}")
    with watched(for_terminal()) as watcher:
        watcher.begin("patches", None)
        made = write_patches(
            opened,
            checkpoint,
            chosen_profile(request.profile, checkpoint),
            to,
            dtype=dtype,
            limit=limit,
            on_item=watcher.advance,
        )
        watcher.end()
    shape = " x ".join(map(str, made.shape))
    text = (
        f"written     {made.file}: {counted(made.images, 'image')}, {shape} each, {dtype}\n"
        f"skipped     {counted(made.failed, 'image')} that cannot be decoded"
    )
    values = {"file": str(made.file), "images": made.images, "failed": made.failed}
    print_result(
        lambda: text,
        paths=[made.file],
        values=values | {"shape": list(made.shape)},
        as_json=json_,
    )
