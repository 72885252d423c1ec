"""The report of a run: figures from the tables, rendered and written atomically."""

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
from ..review.answers import settle
from .facts import gather
from .page import render_page
from .run_record import find_run

THUMBNAIL_PX: Final = 192
# 36 thumbnails of this size, in base64, keep the page well below 1.5 MB.
THUMBNAIL_BYTES: Final = 16_000
_RUN_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def write_report(
    lake: Lake, *, run_id: str, out: Path | None = None, policy: Policy | None = None
) -> str:
    """Write the report of a run as one HTML file without scripts and network requests.

    The report shows the current state of the tables, also for a run that failed or still runs.

    Args:
        lake: Lake of the run.
        run_id: Id of the run, or `latest`.
        out: File to write; default: `reports/<run_id>.html` in the lake.
        policy: Policy with the thresholds; default: the one in the run's record, else the
            packaged policy if the run used it.

    Returns:
        Address of the file.

    Raises:
        ConfigError: `out` is a folder, or the run's id is no valid file name.
        InputError: The lake has no such run.
        StoreError: The run's record cannot be read, or the file cannot be written.
    """
    run = find_run(lake, run_id)
    if out is None and not _RUN_ID.fullmatch(run.run_id):
        raise ConfigError(f"run id {run.run_id!r} is no valid file name; name the file with --out")
    if out is not None:
        require_output(out)
    if policy is None:
        policy = run.policy()
    settle(lake)
    facts = gather(lake, run, policy)
    shown = [row["image_id"] for row in (*facts.highest, *facts.nearest, *facts.lowest)]
    small = thumbnails(lake, shown, max_px=THUMBNAIL_PX, max_bytes=THUMBNAIL_BYTES)
    page = render_page(run, lake.uri, facts, policy, small).encode("utf-8", "replace")
    if out is None:
        return lake.write(f"reports/{run.run_id}.html", page)
    return write_page(out, page)
