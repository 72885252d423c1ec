"""`assay runs`: the runs of a lake, newest first."""

from __future__ import annotations

import json
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from ...process.terminal import width_of_stdout
from ..options import AsJson, LakeUri, open_lake


def runs(
    *,
    lake: LakeUri = None,
    limit: Annotated[int, Parameter(validator=Number(gte=1))] = 20,
    json_: AsJson = False,
) -> None:
    """List the runs of the lake, newest first, with counts, status and report.

    Args:
        lake: Folder of the lake, or its s3:// prefix.
        limit: Maximum number of runs.
        json_: One JSON object on stdout.
    """
    from datetime import UTC, datetime
    from functools import partial

    from ....tasks.browse.runs import draw_runs, list_runs
    from ...dead_runs import this_process, why_gone

    opened = open_lake(lake)
    gone = partial(why_gone, here=this_process(), now=datetime.now(UTC))
    found = list_runs(opened, limit=limit, why_gone=gone)
    if json_:
        lines = [line.to_json() for line in found.lines]
        print(json.dumps({"lake": opened.uri, "total": found.n_runs, "runs": lines}))  # noqa: T201
        return
    print(draw_runs(opened, found, width=width_of_stdout()))  # noqa: T201
