"""`assay views`: one picture scored in overlapping tiles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from .options import AsJson, LakeUri, Network, open_lake, request_of


def views(
    image: str,
    /,
    *,
    lake: LakeUri = None,
    out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None,
    network: Network = None,
    json_: AsJson = False,
) -> None:
    """Score one picture in overlapping tiles at its own resolution, and draw where it is highest.

    Args:
        image: A file, or the first 6 or more characters of an image's id in the lake.
        lake: Folder or s3:// prefix of the lake.
        out: PNG to write [default: views-ID.png here].
        network: Which network looks at images, and how they are prepared for it.
        json_: Print one JSON object on stdout.
    """
    from ...data.user_paths import require_output, write_output
    from ...tasks.detector.load import load_detector
    from ...tasks.explain.view_scores import score_views
    from ..lookup import picture_bytes

    if out is not None:
        require_output(out, inputs=[image])
    opened = None if Path(image).is_file() else open_lake(lake)
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
    print(f"{found.summary()}\npicture     {file}")  # noqa: T201
