"""`assay report`: the HTML report of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ...process.browser import open_page
from ..options import DryRun, Flag, LakeUri, Open, open_lake, print_effects


def report(
    run_id: str = "latest",
    /,
    *,
    lake: LakeUri = None,
    out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None,
    veiled: Annotated[bool, Flag] = False,
    open_: Open = False,
    dry_run: DryRun = False,
) -> None:
    """Write the HTML report of a run and print its path.

    Args:
        run_id: Id of the run; `latest` is the last one that scored.
        lake: Folder of the lake, or its s3:// prefix.
        out: HTML file to write [default: reports/RUN_ID.html in the lake].
        veiled: Report with blurred images only, and nothing sharper in the file.
        open_: Report shown in the browser.
        dry_run: Run to read and page to write; nothing is changed.
    """
    from ....data.errors import StoreError
    from ....tasks.lake.fit import require_fit
    from ....tasks.report.write import write_report
    from ....tasks.runs.run_record import find_run
    from ...progress import say

    opened = open_lake(lake)
    if dry_run:
        from ...dry_run.effects import Effect, Effects

        run = find_run(opened, run_id)
        page = str(out or opened.path("reports", f"{run.run_id}.html"))
        reads = [Effect(1, "run", f"{run.run_id} in {opened.uri}")]
        print_effects(Effects(reads=reads, writes=[Effect(1, "report", page)]))
        return
    page = write_report(opened, run_id=run_id, out=out, is_veiled=veiled)
    print(page)  # noqa: T201
    if open_:
        open_page(page)
    try:
        require_fit(opened, find_run(opened, run_id).batch_id)
    except StoreError as error:
        # The report needs the tables only; its reader should know that images are missing.
        say(f"assay: warning: {error}")
