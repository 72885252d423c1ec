"""`assay explain-decision`: why an image has its decision, and what would have changed it."""

from __future__ import annotations

import json

from ..options import AsJson, LakeUri, open_settled


def explain_decision(
    image: str, /, *, lake: LakeUri = None, run: str | None = None, json_: AsJson = False
) -> None:
    """Explain a decision: what was seen, which rule held, and what would have changed it.

    Args:
        image: Image file, the first 6 or more characters of an id, a URI, or the end of a path.
        lake: Folder of the lake, or its s3:// prefix.
        run: Id of the run that decided [default: the latest decision].
        json_: One JSON object on stdout.
    """
    from ....tasks.accountability.explain_decision import explain_decision as explain
    from ....tasks.browse.find_image import find_image

    opened = open_settled(lake)
    found = explain(opened, find_image(opened, image), run_id=run)
    print(json.dumps(found.to_json(), default=str) if json_ else found.text())  # noqa: T201
