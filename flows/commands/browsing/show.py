"""`assay show`: all stored facts of one image."""

from __future__ import annotations

import json

from ..options import AsJson, LakeUri, open_settled


def show(image: str, /, *, lake: LakeUri = None, json_: AsJson = False) -> None:
    """Show all stored facts of one image.

    Args:
        image: Image file, the first 6 or more characters of an id, a URI, or the end of a path.
        lake: Folder of the lake, or its s3:// prefix.
        json_: One JSON object on stdout.
    """
    from ...lookup import describe_image, draw_image

    known = describe_image(open_settled(lake), image)
    print(json.dumps(known, default=str) if json_ else draw_image(known))  # noqa: T201
