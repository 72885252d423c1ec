"""`assay ls`: images of a lake by decision, reason, domain, label, score and time."""

from __future__ import annotations

import json
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from ...process.terminal import width_of_stdout
from ..image_filters import ImageFilters
from ..options import AsJson, LakeUri, open_settled


def ls(
    *,
    lake: LakeUri = None,
    choose: ImageFilters | None = None,
    sort: Literal["seen", "score", "id"] = "seen",
    limit: Annotated[int, Parameter(validator=Number(gte=1))] = 50,
    json_: AsJson = False,
) -> None:
    """List images of the lake with decision, score, reasons, domain, label and source.

    Args:
        lake: Folder of the lake, or its s3:// prefix.
        choose: Selection of images.
        sort: Order: latest sighting first, highest score first, or by id.
        limit: Maximum number of images; `assay export` has none.
        json_: One JSON object on stdout.
    """
    from ....tasks.browse.image_table import draw_images, images_json
    from ....tasks.browse.images import list_images, scope_of

    choose = choose or ImageFilters()
    filters = choose.filters()
    opened = open_settled(lake)
    scope = scope_of(opened, choose.run)
    listed = list_images(opened, scope, filters, sort=sort, limit=limit)
    if json_:
        print(json.dumps(images_json(opened, scope, listed, limit=limit)))  # noqa: T201
        return
    print(draw_images(opened, scope, filters, listed, width=width_of_stdout()))  # noqa: T201
