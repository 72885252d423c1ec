"""`assay views`: tile scores of one image."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ...process.browser import open_page
from ..options import (
    AsJson,
    DryRun,
    LakeUri,
    Network,
    Open,
    lake_of_image,
    print_effects,
    print_result,
    request_of,
)


def views(
    image: str,
    /,
    *,
    lake: LakeUri = None,
    out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None,
    network: Network = None,
    json_: AsJson = False,
    open_: Open = False,
    dry_run: DryRun = False,
) -> None:
    """Score one image in overlapping tiles at full resolution, and draw a map of the scores.

    Args:
        image: Image file, or a stored image: the first 6 or more characters of its id, its URI,
            or the end of its path.
        lake: Folder of the lake, or its s3:// prefix.
        out: PNG file to write [default: views-ID.png in the working folder].
        network: Detector and its preprocessing.
        json_: One JSON object on stdout.
        open_: PNG file shown in the browser.
        dry_run: Image to read and file to write; nothing is changed.
    """
    from ....data.user_paths import require_output, write_output
    from ....tasks.detector.load import load_detector
    from ....tasks.explain.view_scores import score_views
    from ...lookup import image_bytes

    if out is not None:
        require_output(out, inputs=[image])
    opened = lake_of_image(image, lake)
    image_id, raw = image_bytes(image, opened)
    file = out or Path(f"views-{image_id[:12]}.png")
    if dry_run:
        from ...dry_run.lookups import map_effects

        print_effects(map_effects(opened, image_id, image, file), as_json=json_)
        return
    request = request_of((), network)
    loaded = load_detector(request.detector, profile=request.profile, positive=request.positive)
    found = score_views(raw, loaded, name=image)
    write_output(file, found.png)
    print_result(
        lambda: f"{found.summary()}\nimage       {file}",
        paths=[file],
        values={"image_id": image_id} | found.to_json() | {"out": str(file)},
        as_json=json_,
    )
    if open_:
        open_page(file)
