"""`assay doctor`: a check of this installation."""

from __future__ import annotations

import json

from ..options import AsJson, LakeUri

EXIT_BUG = 1


def doctor(*, lake: LakeUri = None, json_: AsJson = False) -> None:
    """Check the installation: versions, devices, detectors, lake, Prefect, optional packages."""
    from ...installation.doctor import draw, examine

    found = examine(lake)
    print(json.dumps([check.to_json() for check in found]) if json_ else draw(found))  # noqa: T201
    if any(check.status == "broken" for check in found):
        raise SystemExit(EXIT_BUG)
