"""The page of changes: per change its counts and some of its images, veiled."""

from __future__ import annotations

from pathlib import Path

from ...data.store.lake import Lake
from ..pages.captions import SIGNS
from ..pages.environment import environment
from ..pages.thumbnails import thumbnails
from ..pages.write import write_page
from .changes import Change

_MAX_PX = 160
_MAX_BYTES = 6_000


def write_changes(lake: Lake, changes: list[Change], out: Path, *, before: str, after: str) -> str:
    """Write the page of changes and return its path.

    Args:
        lake: Lake of the images.
        changes: Changes by their two words.
        out: File to write.
        before: Name of the decisions that stand.
        after: Id of the other policy.

    Raises:
        StoreError: Images cannot be read, or the file cannot be written.
    """
    changed = [one for one in changes if one.is_changed]
    wanted = [image_id for one in changed for image_id in one.examples]
    thumbs = thumbnails(lake, wanted, max_px=_MAX_PX, max_bytes=_MAX_BYTES)
    page = (
        environment(Path(__file__).parent)
        .get_template("changes.html.jinja")
        .render(
            before=before,
            after=after,
            changes=changed,
            n_images=sum(one.n for one in changes),
            n_kept=sum(one.n for one in changes if not one.is_changed),
            thumbs=thumbs,
            signs=SIGNS,
        )
    )
    return write_page(out, page.encode())
