"""Removing what a lake no longer needs: leftovers of killed writers, and old reports by age.

Leftovers are shards that no image names, files that were never finished, and the hidden folders
in which a killed publish had begun a dataset. Rows, images and what a repair set aside stay.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from ...data.errors import StoreError
from ...data.schema import TABLES
from ...data.store import shards
from ...data.store.files import TMP_PREFIX
from ...data.store.lake import Lake
from ...data.store.tables import FOLDER
from ...data.store.whole_folder import holding
from .fit import require_no_images, require_tables

REPORTS: Final = "reports"
# A writer may take that long between a file and the commit that names it.
MIN_AGE_S: Final = 3600.0

_PUBLISH: Final = re.compile(r"\.(?P<name>.+)\.tmp-[0-9a-f]{8}(?:-old)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """One thing that was removed, or would be."""

    what: str
    where: str
    n_bytes: int
    age_s: float

    def to_json(self) -> dict[str, Any]:
        """The thing as plain values."""
        return asdict(self)


def sweep(
    lake: Lake,
    *,
    older_than_s: float,
    reports_older_than_s: float | None = None,
    published: Path | None = None,
    dry_run: bool = False,
) -> list[Swept]:
    """Remove leftovers of at least an age; reports only where an age is given for them.

    Args:
        lake: Lake to sweep.
        older_than_s: Age of leftovers.
        reports_older_than_s: Age of reports; None keeps all.
        published: Folder that datasets were published to; its killed publishes are removed.
        dry_run: Only say what would be removed.

    Raises:
        StoreError: The lake is damaged, so that what is left over cannot be told, or the age is
            less than a writer may take.
        ConfigError: Somebody is publishing to that folder.
    """
    if older_than_s < MIN_AGE_S:
        raise StoreError(
            f"an age of {older_than_s:.0f} s is less than a running writer may need; give"
            f" {MIN_AGE_S:.0f} s or more"
        )
    with lake.writing():
        now_s = time.time()
        leftovers = [
            *_leftovers(lake, now_s, older_than_s),
            *_reports(lake, now_s, reports_older_than_s),
        ]
        if not dry_run:
            for leftover in leftovers:
                lake.store.delete(leftover.where)
    folders = list(_publishes(published, now_s, older_than_s)) if published else []
    if folders and not dry_run and published is not None:
        # Finishes or undoes a swap that was cut off, and removes what is left of the rest.
        with holding(published.absolute()):
            pass
    return leftovers + folders


def _leftovers(lake: Lake, now_s: float, older_than_s: float) -> Iterator[Swept]:
    # Listed before the table is read: what is committed later is younger than that.
    folders = ["", shards.FOLDER, REPORTS, *(f"{FOLDER}/{table}" for table in TABLES)]
    files = [file for folder in folders for file in lake.store.files(folder)]
    require_tables(lake)
    images = lake.scan("images").select("shard").unique().collect()
    named = set(images["shard"])
    if not named:
        # Shards that no row names any more are what a repair needs.
        require_no_images(lake)
    for file in files:
        path = PurePosixPath(file.name)
        age_s = now_s - file.modified_s
        if age_s < older_than_s:
            continue
        if path.name.startswith(TMP_PREFIX):
            what = "unfinished file"
        elif str(path.parent) == shards.FOLDER and path.suffix == ".parquet":
            if file.name in named:
                continue
            what = "shard that no image names"
        else:
            continue
        yield Swept(what=what, where=file.name, n_bytes=file.n_bytes, age_s=age_s)


def _reports(lake: Lake, now_s: float, older_than_s: float | None) -> Iterator[Swept]:
    if older_than_s is None:
        return
    for file in lake.store.files(REPORTS):
        age_s = now_s - file.modified_s
        if file.name.endswith(".html") and age_s >= older_than_s:
            yield Swept(what="report", where=file.name, n_bytes=file.n_bytes, age_s=age_s)


def _publishes(published: Path, now_s: float, older_than_s: float) -> Iterator[Swept]:
    """Hidden folders beside a dataset in which a publish of it was killed."""
    published = published.absolute()
    if not published.parent.is_dir():
        return
    for folder in sorted(published.parent.iterdir()):
        match = _PUBLISH.fullmatch(folder.name)
        if match is None or match["name"] != published.name or not folder.is_dir():
            continue
        inside = [file.stat() for file in folder.rglob("*") if file.is_file()]
        newest_s = max([folder.stat().st_mtime, *(facts.st_mtime for facts in inside)])
        if now_s - newest_s >= older_than_s:
            yield Swept(
                what="killed publish",
                where=str(folder),
                n_bytes=sum(facts.st_size for facts in inside),
                age_s=now_s - newest_s,
            )


def draw(swept: list[Swept], *, dry_run: bool) -> str:
    """Return what was removed for a person, a line per thing."""
    verb = "would remove" if dry_run else "removed"
    lines = [
        f"{verb}  {leftover.what} {leftover.where} ({leftover.n_bytes:,} bytes)"
        for leftover in swept
    ]
    total = sum(leftover.n_bytes for leftover in swept)
    return "\n".join([*lines, f"{verb}  {len(swept):,} things, {total:,} bytes"])
