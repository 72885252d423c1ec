"""`assay diff`: what differs between two published datasets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, validators

from ..options import AsJson, print_result


def diff(
    a: Annotated[Path, Parameter(name="A")],
    b: Annotated[Path, Parameter(name="B")],
    *,
    examples: Annotated[int, Parameter(validator=validators.Number(gte=0, lte=1000))] = 3,
    json_: AsJson = False,
) -> None:
    """Compare two published datasets: images, labels, decisions, splits and settings.

    Both may have any format. Nothing is written.

    Args:
        a: Folder of the earlier dataset, or its VERSIONS.lock.
        b: Folder of the later dataset, or its VERSIONS.lock.
        examples: Largest number of image ids per change.
        json_: One JSON object on stdout.
    """
    from ....data.user_paths import from_home
    from ....tasks.versions.compare import compare
    from ....tasks.versions.draw import draw
    from ....tasks.versions.published import read_published

    found = compare(read_published(from_home(a)), read_published(from_home(b)), n_examples=examples)
    print_result(lambda: draw(found), paths=[], values=found.to_json(), as_json=json_)
