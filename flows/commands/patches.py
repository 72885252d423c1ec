"""`assay patches`: patch embeddings of the images of a lake."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Literal

from .options import AsJson, LakeUri, Network, Quiet, open_lake, request_of


def patches(
    *,
    to: Path,
    lake: LakeUri = None,
    network: Network = None,
    dtype: Literal["float16", "float32"] = "float16",
    limit: int | None = None,
    json_: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Write the patch embeddings of all images of a lake to a Parquet file.

    Args:
        to: Parquet file to write.
        lake: Folder of the lake, or its s3:// prefix.
        network: Detector and its preprocessing.
        dtype: Number format of the embeddings: float16 or float32.
        limit: Largest number of images.
        json_: One JSON object on stdout.
        quiet: No progress bars.
    """
    from ...tasks.detector.weights.checkpoint import chosen_profile, find_checkpoint
    from ...tasks.explain.patches import expected_mb, write_patches
    from ..progress import for_terminal, watched

    opened = open_lake(lake)
    asked = request_of((), network)
    checkpoint = find_checkpoint(asked.detector, positive=asked.positive)
    expected = expected_mb(opened, checkpoint, dtype, limit)
    print(f"up to {expected:,.0f} MB will be written to {to}", file=sys.stderr)  # noqa: T201
    with watched(for_terminal(quiet=quiet)) as watcher:
        watcher.begin("patches", None)
        made = write_patches(
            opened,
            checkpoint,
            chosen_profile(asked.profile, checkpoint),
            to,
            dtype=dtype,
            limit=limit,
            on_item=watcher.advance,
        )
        watcher.end()
    if json_:
        values = {"file": str(made.file), "images": made.images, "failed": made.failed}
        print(json.dumps(values | {"shape": list(made.shape)}))  # noqa: T201
        return
    shape = " x ".join(map(str, made.shape))
    print(  # noqa: T201
        f"written     {made.file}: {made.images:,} images, {shape} each, {dtype}\n"
        f"skipped     {made.failed:,} images that cannot be decoded"
    )
