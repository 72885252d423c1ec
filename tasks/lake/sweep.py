"""Removal of leftovers of killed writers, and of old reports.

Leftovers are shards that no image names, unfinished files, and the hidden folders of interrupted
publishes. Rows, images and files that a repair moved to `damaged/` are kept.
"""

from __future__ import annotations

import contextlib
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
from ...data.store.places.whole_folder import holding
from ...data.store.tables import FOLDER
from ...data.store.upkeep.named_shards import named_shards
from ...data.text.wording import counted
from .fit import require_no_images, require_tables
from .pins import FOLDER as PINS

REPORTS: Final = "reports"
# A writer may need this long between writing a file and the commit that names it.
MIN_AGE_S: Final = 3600.0

_PUBLISH: Final = re.compile(r"\.(?P<name>.+)\.tmp-[0-9a-f]{8}(?:-old)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """One file or folder that was removed, or would be.

    Attributes:
        what: Kind of the leftover.
        where: Path below the lake, or absolute path of a folder outside.
        n_bytes: Size in bytes.
        age_s: Age in seconds.
    """

    what: str
    where: str
    n_bytes: int
    age_s: float

    def to_json(self) -> dict[str, Any]:
        """Return the leftover as plain values."""
        return asdict(self)


def sweep(
    lake: Lake,
    *,
    older_than_s: float,
    reports_older_than_s: float | None = None,
    published: Path | None = None,
    dry_run: bool = False,
) -> list[Swept]:
    """Remove old leftovers, and old reports if an age is given for them.

    Args:
        lake: Lake to sweep.
        older_than_s: Minimum age of leftovers in seconds, at least `MIN_AGE_S`.
        reports_older_than_s: Minimum age of reports in seconds; None keeps all reports.
        published: Folder of a published dataset, whose interrupted publishes are removed too.
        dry_run: Whether to remove nothing and only return what would be removed.

    Returns:
        Removed files and folders.

    Raises:
        StoreError: The lake is damaged, so that leftovers cannot be distinguished from needed
            files, or the age is less than a running writer may need.
        ConfigError: Another process is publishing to `published`.
    """
    if older_than_s < MIN_AGE_S:
        raise StoreError(
            f"an age of {older_than_s:.0f} s is less than a running writer may need;"
            f" give at least {MIN_AGE_S:.0f} s"
        )
    # Nothing is written by a dry run, which also works in a lake that cannot be written.
    with contextlib.nullcontext() if dry_run else lake.writing():
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
        # Taking hold of the folder completes or reverts an interrupted swap and removes the rest.
        with holding(published.absolute()):
            pass
    return leftovers + folders


def _leftovers(lake: Lake, now_s: float, older_than_s: float) -> Iterator[Swept]:
    # Listed before the table is read, so that every listed shard of a later commit is young.
    folders = ["", shards.FOLDER, REPORTS, PINS, *(f"{FOLDER}/{table}" for table in TABLES)]
    files = [file for folder in folders for file in lake.store.files(folder)]
    require_tables(lake)
    named = named_shards(lake.store, lake.tables)
    if not named:
        # A repair needs the shards if the table has lost its rows.
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
    """Yield the hidden folders beside a dataset that interrupted publishes left."""
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
                what="interrupted publish",
                where=str(folder),
                n_bytes=sum(facts.st_size for facts in inside),
                age_s=now_s - newest_s,
            )


def draw(swept: list[Swept], *, dry_run: bool, noun: str = "leftovers and reports") -> str:
    """Return the removed files and folders as text, one line each, and their total.

    Args:
        swept: Removed files and folders.
        dry_run: Whether nothing was removed.
        noun: Noun of the total, in the plural.
    """
    verb = "would remove" if dry_run else "removed"
    lines = [
        f"{verb}  {leftover.what} {leftover.where} ({counted(leftover.n_bytes, 'byte')})"
        for leftover in swept
    ]
    total = sum(leftover.n_bytes for leftover in swept)
    return "\n".join([*lines, f"{verb}  {len(swept):,} {noun}, {counted(total, 'byte')}"])
