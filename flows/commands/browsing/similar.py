"""`assay similar`: the stored images most similar to one image."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from ...process.browser import open_page
from ..options import AsJson, DryRun, Flag, LakeUri, Open, open_settled, print_effects, print_result


def similar(
    image: str,
    /,
    *,
    lake: LakeUri = None,
    by: Literal["embedding", "phash", "both"] = "both",
    k: Annotated[int, Parameter(name=["--k", "-k"])] = 12,
    out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None,
    detector: str | None = None,
    exact: Annotated[bool, Flag] = False,
    blur: Annotated[bool, Flag] = False,
    json_: AsJson = False,
    open_: Open = False,
    dry_run: DryRun = False,
) -> None:
    """Find the stored images most similar to an image, and draw a contact sheet.

    Args:
        image: Image file, or a stored image: the first 6 or more characters of its id, its URI,
            or the end of its path.
        lake: Folder of the lake, or its s3:// prefix.
        by: Measure: the detector's embedding (cosine), the 64-bit perceptual hash (differing
            bits), or both rankings combined.
        k: Number of neighbours.
        out: Contact sheet to write; .png shows the images, .html blurs them until clicked.
        detector: Detector of the embeddings: a name, an id or a folder
            [default: that of the last scores].
        exact: Exhaustive search also for 50,000 embeddings or more, where an index is the default.
        blur: Blurred images in a PNG sheet.

        json_: One JSON object on stdout.
        open_: Contact sheet of --out shown in the browser.
        dry_run: Counts and paths of what would be read and written; nothing is changed.
    """
    from ....data.user_paths import from_home, require_output
    from ....tasks.similar.listing import list_similar
    from ....tasks.similar.search import find_similar
    from ....tasks.similar.write_sheet import check_sheet, write_sheet
    from ... import progress
    from ...lookup import find_query

    if out is not None:
        check_sheet(out)
        require_output(out, inputs=[from_home(image)])
    opened = open_settled(lake, dry_run=dry_run)
    if dry_run:
        from ...dry_run.lookups import similar_effects

        print_effects(similar_effects(opened, image, k=k, out=out), as_json=json_)
        return
    query = find_query(opened, image)
    with progress.watched(progress.for_terminal()) as watcher:
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
    print_result(
        lambda: list_similar(found) + (f"\nsheet   {sheet}" if sheet else ""),
        paths=[sheet] if sheet else [],
        values={"lake": opened.uri, **found.to_json(), "sheet": sheet},
        as_json=json_,
    )
    if open_:
        open_page(sheet)
