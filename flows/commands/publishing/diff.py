"""`assay diff`: what differs between two published datasets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, validators

from ..options import AsJson, Open, print_result

_N_EXAMPLES = 3


def diff(
    a: Annotated[str, Parameter(name="A")],
    b: Annotated[str, Parameter(name="B")],
    *,
    examples: Annotated[int | None, Parameter(validator=validators.Number(gte=0, lte=1000))] = None,
    page: Annotated[Path | None, Parameter(name="--page")] = None,
    open_: Open = False,
    json_: AsJson = False,
) -> None:
    """Compare two published datasets: images, labels, decisions, splits and settings.

    Both may have any format, and be a folder or a prefix such as s3://bucket/dataset. Nothing is
    written but the page.

    Args:
        a: Folder or prefix of the earlier dataset, or its VERSIONS.lock.
        b: Folder or prefix of the later dataset, or its VERSIONS.lock.
        examples: Largest number of image ids per change [default: 3, and 12 images on a page].
        page: HTML page of the differences to write, with veiled thumbnails.
        open_: Page of --page shown in the browser.
        json_: One JSON object on stdout.
    """
    from ....data.user_paths import from_home, require_output
    from ....tasks.versions.compare import compare
    from ....tasks.versions.draw import draw
    from ....tasks.versions.page import N_EXAMPLES, write_difference
    from ....tasks.versions.published import read_published
    from ...process.browser import open_page

    if page is not None:
        require_output(from_home(page), inputs=(from_home(a), from_home(b)))
    n_shown = N_EXAMPLES if examples is None else examples
    n_named = _N_EXAMPLES if examples is None else examples
    before, after = read_published(a), read_published(b)
    found = compare(before, after, n_examples=n_named if page is None else n_shown)
    drawn = None
    if page is not None:
        drawn = write_difference(before, after, found, from_home(page))
        found = found.with_examples(n_named)
    text = draw(found) + (f"\npage        {drawn}" if drawn else "")
    print_result(
        lambda: text,
        paths=[drawn] if drawn else [],
        values=found.to_json() | {"page": drawn},
        as_json=json_,
    )
    if open_:
        open_page(drawn)
