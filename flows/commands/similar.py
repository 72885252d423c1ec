"""`assay similar`: which stored images are most like one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from .options import AsJson, LakeUri, Quiet, open_lake


def similar(
    image: str,
    /,
    *,
    lake: LakeUri = None,
    by: Literal["embedding", "phash", "both"] = "both",
    k: Annotated[int, Parameter(name=["--k", "-k"])] = 12,
    out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None,
    detector: str | None = None,
    exact: Annotated[bool, Parameter(negative="")] = False,
    blur: Annotated[bool, Parameter(negative="")] = False,
    quiet: Quiet = False,
    json_: AsJson = False,
) -> None:
    """Find the stored images most like a picture, and draw them on a contact sheet.

    Args:
        image: A picture's file, or the first 6 or more characters of the id of a stored image.
        lake: Folder or s3:// prefix of the lake.
        by: The detector's embedding (cosine), the 64-bit perceptual hash (differing bits), or
            both rankings in one.
        k: How many neighbours.
        out: Contact sheet to write: .png shows the pictures, .html veils them until clicked.
        detector: Detector of the embeddings: a name, an id or a folder
            [default: the one that scored last].
        exact: Compare with every embedding also where there are 50,000 or more, without an index.
        blur: Veil the pictures of a PNG.
        quiet: No progress bars.
        json_: Print one JSON object on stdout.
    """
    from ...data.user_paths import from_home, require_output
    from ...tasks.similar.listing import list_similar
    from ...tasks.similar.search import find_similar
    from ...tasks.similar.write_sheet import check_sheet, write_sheet
    from .. import progress
    from ..lookup import find_query

    if out is not None:
        check_sheet(out)
        require_output(out, inputs=[from_home(image)])
    opened = open_lake(lake)
    query = find_query(opened, image)
    with progress.watched(progress.for_terminal(quiet=quiet)) as watcher:
        watcher.begin("compare", None)
        try:
            found = find_similar(
                opened,
                query,
                by=by,
                k=k,
                detector=detector,
                exact=exact,
                on_rows=watcher.advance,
            )
        finally:
            watcher.end()
    sheet = None if out is None else write_sheet(opened, query, found, out, is_veiled=blur)
    if json_:
        told = {"lake": opened.uri, **found.to_json(), "sheet": sheet}
        print(json.dumps(told))  # noqa: T201
        return
    print(list_similar(found) + (f"\nsheet   {sheet}" if sheet else ""))  # noqa: T201
