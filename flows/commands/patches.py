"""`assay patches`: the patch embeddings of a lake's images."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Literal

from .options import AsJson, LakeUri, Quiet, open_lake


def patches(
    *,
    to: Path,
    lake: LakeUri = None,
    detector: str = "community-forensics",
    profile: str | None = None,
    positive: str | None = None,
    dtype: Literal["float16", "float32"] = "float16",
    limit: int | None = None,
    json_: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Write the patch embeddings of every image of the lake to a Parquet file.

    Args:
        to: File to write.
        lake: Folder or s3:// prefix of the lake.
        detector: Registered name, org/name@<40-hex revision>, or a local folder.
        profile: Preprocessing [default: the detector's own].
        positive: What a high logit of an unregistered checkpoint means: fake or real.
        dtype: float16 or float32.
        limit: At most so many images.
        json_: Print one JSON object on stdout.
        quiet: No progress bars.
    """
    from ...tasks.detector.weights.checkpoint import chosen_profile, find_checkpoint
    from ...tasks.explain.patches import expected_mb, write_patches
    from ..progress import for_terminal, watched

    opened = open_lake(lake)
    checkpoint = find_checkpoint(detector, positive=positive)
    expected = expected_mb(opened, checkpoint, dtype, limit)
    print(f"up to {expected:,.0f} MB will be written to {to}", file=sys.stderr)  # noqa: T201
    with watched(for_terminal(quiet=quiet)) as watcher:
        watcher.begin("patches", None)
        made = write_patches(
            opened,
            checkpoint,
            chosen_profile(profile, checkpoint),
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
        f"left out    {made.failed:,} that cannot be decoded"
    )
