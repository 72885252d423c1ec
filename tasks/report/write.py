"""The report of a run: gathered from the tables, drawn, and written whole or not at all."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from ...data.errors import ConfigError
from ...data.store.lake import Lake
from ...data.user_paths import require_output
from ..decide.policy import Policy
from ..pages.thumbnails import thumbnails
from ..pages.write import write_page
from .facts import gather
from .page import render_page
from .run_record import find_run

THUMBNAIL_PX: Final = 192
# 36 pictures of this size, in base64, leave the page well under 1.5 MB.
THUMBNAIL_BYTES: Final = 16_000
_RUN_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def write_report(
    lake: Lake, *, run_id: str, out: Path | None = None, policy: Policy | None = None
) -> str:
    """Draw a run's report as one HTML file that needs no network and runs no script.

    It shows what the tables say when it is drawn, also for a run that failed or still runs.

    Args:
        lake: Lake of the run.
        run_id: Id of the run, or `latest`.
        out: The file to write; by default `reports/<run_id>.html` in the lake.
        policy: Its rules, for the thresholds; by default those in the run's record, or the
            packaged policy if it is the one that the run used.

    Returns:
        The address of the file.

    Raises:
        ConfigError: `out` is a folder, or the run's name cannot be a file's.
        InputError: There is no such run.
        StoreError: The run's record cannot be read, or the file cannot be written.
    """
    run = find_run(lake, run_id)
    if out is None and not _RUN_ID.fullmatch(run.run_id):
        raise ConfigError(f"run {run.run_id!r} cannot name a file; give the file to write by --out")
    if out is not None:
        require_output(out)
    if policy is None:
        policy = run.policy()
    facts = gather(lake, run, policy)
    shown = [row["image_id"] for row in (*facts.highest, *facts.nearest, *facts.lowest)]
    small = thumbnails(lake, shown, max_px=THUMBNAIL_PX, max_bytes=THUMBNAIL_BYTES)
    page = render_page(run, lake.uri, facts, policy, small).encode("utf-8", "replace")
    if out is None:
        return lake.write(f"reports/{run.run_id}.html", page)
    return write_page(out, page)
