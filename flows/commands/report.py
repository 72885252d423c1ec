"""`assay report`: the HTML report of a run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from .options import LakeUri, open_lake


def report(
    run_id: str = "latest",
    /,
    *,
    lake: LakeUri = None,
    out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None,
) -> None:
    """Write the HTML report of a run and print its path.

    Args:
        run_id: Id of the run; `latest` is the last one that scored.
        lake: Folder of the lake, or its s3:// prefix.
        out: HTML file to write [default: reports/RUN_ID.html in the lake].
    """
    from ...data.errors import StoreError
    from ...tasks.lake.fit import require_fit
    from ...tasks.report.write import write_report

    opened = open_lake(lake)
    print(write_report(opened, run_id=run_id, out=out))  # noqa: T201
    try:
        require_fit(opened, None)
    except StoreError as error:
        # The report needs the tables only; its reader should know that images are missing.
        print(f"assay: warning: {error}", file=sys.stderr)  # noqa: T201
