"""The report of a run: figures from the tables, rendered and written atomically."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from ...data.errors import ConfigError
from ...data.store.lake import Lake
from ...data.user_paths import require_output
from ..decide.policy import Policy
from ..pages.thumbnails import Thumbnail, thumbnails
from ..pages.write import write_page
from ..review.answers import settle
from ..runs.run_record import find_run
from .facts import gather
from .page import render_page
from .sections import Collector, Sections

THUMBNAIL_PX: Final = 192
# With at most 104 thumbnails and the rows of the grid, the page stays below 5 MB.
ALL_THUMBNAILS_BYTES: Final = 700_000
MAX_THUMBNAIL_BYTES: Final = 16_000
# Images per gallery, and the number of scored images up to which all of them are shown.
N_IMAGES: Final = 20
ALL_UP_TO: Final = 80
_RUN_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def write_report(
    lake: Lake,
    *,
    run_id: str,
    out: Path | None = None,
    policy: Policy | None = None,
    is_veiled: bool = False,
) -> str:
    """Write the report of a run as one HTML file that makes no network requests.

    The report shows the current state of the tables, also for a run that failed or still runs.

    Args:
        lake: Lake of the run.
        run_id: Id of the run, or `latest`.
        out: File to write; default: `reports/<run_id>.html` in the lake.
        policy: Policy with the thresholds; default: the one in the run's record, else the
            packaged policy if the run used it.
        is_veiled: Whether the file has blurred images only, nothing sharper.

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
    collector = Collector(lake, run, policy)
    facts = gather(lake, run, policy, n_images=N_IMAGES, also=collector.add)
    chosen = [*facts.highest, *facts.nearest, *facts.lowest]
    sections = collector.sections(chosen, all_up_to=ALL_UP_TO)
    thumbs = _thumbnails(lake, sections, chosen, is_veiled=is_veiled)
    page = render_page(run, lake.uri, facts, policy, thumbs, sections).encode("utf-8", "replace")
    if out is None:
        return lake.write(f"reports/{run.run_id}.html", page)
    return write_page(out, page)


def _thumbnails(
    lake: Lake, sections: Sections, chosen: list[dict[str, Any]], *, is_veiled: bool
) -> dict[str, Thumbnail]:
    rows = sections.all_images or [*chosen, *sections.mistakes]
    ids = {str(row["image_id"]): None for row in rows}
    ids |= {
        image_id: None for pair in sections.pairs for image_id in (pair.image_id, pair.parent_id)
    }
    max_bytes = min(MAX_THUMBNAIL_BYTES, ALL_THUMBNAILS_BYTES // max(1, len(ids)))
    made = thumbnails(lake, list(ids), max_px=THUMBNAIL_PX, max_bytes=max_bytes)
    if not is_veiled:
        return made
    return {image_id: replace(thumb, sharp="") for image_id, thumb in made.items()}
