"""`assay similar`: which stored images are most like one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from .options import AsJson, LakeUri, Quiet, open_lake

if TYPE_CHECKING:
    from ...data.store.lake import Lake
    from ...tasks.similar.result import Query, Similar


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
        detector: Whose embeddings: a name, an id or a folder [default: the one that scored last].
        exact: Compare with every embedding also where there are 50,000 or more, without an index.
        blur: Veil the pictures of a PNG.
        quiet: No progress bars.
        json_: Print one JSON object on stdout.
    """
    from ...data.user_paths import from_home, require_output
    from ...tasks.similar.search import find_similar
    from ...tasks.similar.write_sheet import check_sheet, write_sheet
    from .. import progress

    if out is not None:
        check_sheet(out)
        require_output(out, inputs=[from_home(image)])
    opened = open_lake(lake)
    query = _query(opened, image)
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
    print(drawn(found) + (f"\nsheet   {sheet}" if sheet else ""))  # noqa: T201


def drawn(found: Similar) -> str:
    """The answer for a person: what was asked, a line for each neighbour, how it was searched."""
    from ...tasks.pages.captions import cut, score_text, visible

    query = found.query
    facts = [score_text(query.prob_fake), query.decision, query.label]
    lines = [f"query   {visible(found.query_name)}  " + "  ".join(filter(None, facts))]
    if query.image_id:
        lines.append(f"        {query.image_id}")
    lines.append(f"by      {found.by}; {found.subtitle()}")
    if found.query_precision and found.key and found.query_precision != found.key.precision:
        lines.append(
            f"note    the query was embedded in {found.query_precision}, the lake's images in"
            f" {found.key.precision}: cosines are good to about 0.001"
        )
    rows = [("rank", "image", "cosine", "bits", "score", "decision", "label", "source")]
    for neighbour in found.neighbours:
        known = neighbour.known
        rows.append(
            (
                str(neighbour.rank),
                (known.image_id or "")[:12],
                "-" if neighbour.similarity is None else f"{neighbour.similarity:.4f}",
                str(neighbour.hamming_bits),
                score_text(known.prob_fake),
                known.decision or "-",
                known.label or "-",
                cut(known.source_uri or "-"),
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    lines.append("")
    for row in rows:
        cells = [
            value.rjust(width) if column in {0, 2, 3, 4} else value.ljust(width)
            for column, (value, width) in enumerate(zip(row[:-1], widths, strict=True))
        ]
        lines.append("  ".join([*cells, row[-1]]))
    if len(found.neighbours) < found.k:
        lines.append(
            f"\n{len(found.neighbours)} of the {found.k} asked for: the lake has no more to compare"
        )
    return "\n".join(lines)


def _query(lake: Lake, image: str) -> Query:
    """The file of that name if there is one, else the stored image whose id begins so."""
    from ...data.errors import InputError, UnreadableImage
    from ...data.user_paths import from_home
    from ...tasks.similar.search import picture_query, stored_query
    from ..lookup import find_image

    file = from_home(image)
    if file.is_file():
        try:
            return picture_query(lake, file.read_bytes(), file.name)
        except UnreadableImage as error:
            raise InputError(f"{image} cannot be compared: {error}") from error
        except OSError as error:
            raise InputError(f"{image} cannot be read: {error}") from error
    if file.is_dir():
        raise InputError(f"{image} is a folder; give one picture, or an image id")
    if not image or set(image.strip().lower()) - set("0123456789abcdef"):
        raise InputError(f"there is no file {image!r}, and it is no image id (hex digits)")
    return stored_query(lake, find_image(lake, image))
