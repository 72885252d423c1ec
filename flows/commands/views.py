"""`assay views`: tile scores of one image."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from .options import AsJson, LakeUri, Network, lake_of_image, request_of


def views(
    image: str,
    /,
    *,
    lake: LakeUri = None,
    out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None,
    network: Network = None,
    json_: AsJson = False,
) -> None:
    """Score one image in overlapping tiles at full resolution, and draw a map of the scores.

    Args:
        image: Image file, or a stored image: the first 6 or more characters of its id, its URI,
            or the end of its path.
        lake: Folder of the lake, or its s3:// prefix.
        out: PNG file to write [default: views-ID.png in the working folder].
        network: Detector and its preprocessing.
        json_: One JSON object on stdout.
    """
    from ...data.user_paths import require_output, write_output
    from ...tasks.detector.load import load_detector
    from ...tasks.explain.view_scores import score_views
    from ..lookup import picture_bytes

    if out is not None:
        require_output(out, inputs=[image])
    opened = lake_of_image(image, lake)
    image_id, raw = picture_bytes(image, opened)
    asked = request_of((), network)
    loaded = load_detector(asked.detector, profile=asked.profile, positive=asked.positive)
    found = score_views(raw, loaded, name=image)
    file = out or Path(f"views-{image_id[:12]}.png")
    write_output(file, found.png)
    if json_:
        values = {"image_id": image_id} | found.to_json() | {"out": str(file)}
        print(json.dumps(values))  # noqa: T201
        return
    print(f"{found.summary()}\nimage       {file}")  # noqa: T201
