"""`assay views`: one picture scored in overlapping tiles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from .options import AsJson, LakeUri, open_lake


def views(
    image: str,
    /,
    *,
    lake: LakeUri = None,
    out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None,
    detector: str = "community-forensics",
    profile: str | None = None,
    positive: str | None = None,
    json_: AsJson = False,
) -> None:
    """Score one picture in overlapping tiles at its own resolution, and draw where it is highest.

    Args:
        image: A file, or the first 6 or more characters of an image's id in the lake.
        lake: Folder or s3:// prefix of the lake.
        out: PNG to write [default: views-ID.png here].
        detector: Registered name, org/name@<40-hex revision>, or a local folder.
        profile: Preprocessing [default: the detector's own].
        positive: What a high logit of an unregistered checkpoint means: fake or real.
        json_: Print one JSON object on stdout.
    """
    from ...data.errors import InputError
    from ...data.images.decode import decode_rgb
    from ...data.user_paths import require_output
    from ...tasks.detector.inputs.preprocess import preprocess, square_in_picture
    from ...tasks.detector.load import load_detector
    from ...tasks.explain.view_map import draw_views
    from ...tasks.views import views_of
    from ..lookup import picture_bytes

    if out is not None:
        require_output(out, inputs=[image])
    opened = None if Path(image).is_file() else open_lake(lake)
    image_id, raw = picture_bytes(image, opened)
    loaded = load_detector(detector, profile=profile, positive=positive)
    picture = decode_rgb(raw, loaded.profile.decode)
    centre = float(loaded.forward(preprocess(raw, loaded.profile)[None])[0][0])
    found = views_of(raw, loaded)
    if not found:
        raise InputError(
            f"{image} is {picture.width} x {picture.height} px: a side under"
            f" {loaded.profile.crop_px} px has no tiles; its centre scores logit {centre:+.3f}"
        )
    scored = [view for view in found if view.logit is not None]
    highest = max(scored, key=lambda view: view.logit or 0.0, default=None)
    file = out or Path(f"views-{image_id[:12]}.png")
    title = f"centre logit {centre:+.3f}, highest of {len(found)} tiles "
    title += "none" if highest is None else f"{highest.logit:+.3f}"
    drawn = draw_views(
        picture, found, title=title, centre_px=square_in_picture(picture.size, loaded.profile)
    )
    try:
        file.write_bytes(drawn)
    except OSError as error:
        raise InputError(f"cannot write {file}: {error.strerror or error}") from error
    if json_:
        tiles = [
            {
                "view": view.tile.name,
                "left_px": view.tile.left_px,
                "top_px": view.tile.top_px,
                "side_px": view.tile.side_px,
                "logit": view.logit,
            }
            for view in found
            if view.tile is not None
        ]
        print(  # noqa: T201
            json.dumps(
                {
                    "image_id": image_id,
                    "detector": loaded.detector_id,
                    "centre_logit": centre,
                    "tiles": tiles,
                    "out": str(file),
                }
            )
        )
        return
    print(f"centre      logit {centre:+.3f} by {loaded.detector_id}")  # noqa: T201
    if highest is not None and highest.tile is not None:
        tile = highest.tile
        right, bottom = tile.left_px + tile.side_px, tile.top_px + tile.side_px
        print(  # noqa: T201
            f"highest     logit {highest.logit:+.3f}, {tile.name}: x {tile.left_px}-{right},"
            f" y {tile.top_px}-{bottom}"
        )
    print(f"picture     {file}")  # noqa: T201
