"""Announcement of new files below a prefix: look, list, send, remember."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from ....data.errors import AssayError, ConfigError, InputError
from ....data.object_addresses import is_object, is_within, parse
from ....data.sources.files import is_inside
from ....data.sources.items import SourceOptions
from ....data.sources.source_list import SUFFIX, source_list
from ....data.sources.uris import compile_pattern
from ....data.store.files import write_whole
from ....data.store.open_store import open_store
from ....data.text.redaction import redact_url
from ....data.user_paths import from_home
from ....tasks.batches import batch_id_of
from ...flow_runs.names import place_word
from ..event import Event, batch_announced, without_templates
from .files_below import Walk, folder_of
from .objects_below import ObjectWalk
from .seen_files import Announcement, SeenFiles

_log = logging.getLogger(__name__)

MAX_FILES: Final = 10_000
SETTLE_S: Final = 30.0

Deliver = Callable[[list[Event]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What is watched, and how.

    Attributes:
        prefix: Folder, or prefix of an object store.
        options: Settings of listing; `include` and `exclude` are used.
        state: Folder of the watch's memory; None for the one of this user and prefix.
        listings: Folder or object-store prefix of the listings; None for one below `state`.
        settle_s: Seconds for which a file has not changed before it counts as complete.
        max_files: Maximum number of files of an announcement.
    """

    prefix: str
    options: SourceOptions = field(default_factory=SourceOptions)
    state: Path | None = None
    listings: str | None = None
    settle_s: float = SETTLE_S
    max_files: int = MAX_FILES


def watch(settings: Watch, deliver: Deliver, *, interval_s: float | None = None) -> Iterator[Event]:
    """Yield the events of new files, each after it has been delivered.

    Args:
        settings: Settings of the watch.
        deliver: Function that sends events, and raises an `AssayError` if they are not taken.
        interval_s: Seconds between two looks; None to look once.

    Raises:
        AssayError: The folder, the memory or the server cannot be used. Between looks, an error is
            logged instead, and the next look goes on.
        ConfigError: Another process watches with the same memory.
    """
    folder = place_of(settings.prefix)
    for pattern in (*settings.options.include, *settings.options.exclude):
        compile_pattern(pattern)
    state = settings.state or state_folder(folder)
    listings = settings.listings or str(state / "listings")
    _require_usable(folder, state, listings)
    with _memory(state) as seen:
        is_first = True
        while True:
            try:
                yield from _look(folder, settings, listings, seen, deliver)
            except AssayError as error:
                if interval_s is None or is_first:
                    raise
                _log.warning("%s", error)
            if interval_s is None:
                return
            is_first = False
            time.sleep(interval_s)


def place_of(prefix: str) -> str:
    """Return the absolute path of a folder, or the address of a prefix.

    Raises:
        InputError: There is no such folder, or the address has secrets.
    """
    if not is_object(prefix):
        return folder_of(prefix)
    if redact_url(prefix) != prefix:
        raise InputError(
            f"{prefix} has keys or a query, and the prefix is part of every event; give"
            " s3://bucket/prefix alone, and the keys in the environment"
        )
    name = parse(prefix)
    return name.with_key(name.key.strip("/"))


def state_folder(folder: str) -> Path:
    """Return the folder of the memory of a watched folder; not created."""
    home = from_home(os.environ.get("XDG_STATE_HOME") or "~/.local/state")
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    return home / "assay" / "watch" / digest


def _look(
    folder: str, settings: Watch, listings: str, seen: SeenFiles, deliver: Deliver
) -> Iterator[Event]:
    make_walk = ObjectWalk if is_object(folder) else Walk
    walk = make_walk(folder, settings.options)
    seen.note(walk, now_s=time.time())
    if walk.is_complete:
        seen.forget_missing()
    seen.prepare(now_s=time.time(), settle_s=settings.settle_s, max_files=settings.max_files)
    for announcement in seen.unsent():
        # A file that has changed since has left its announcement, and waits for the next.
        if announcement.files:
            event = _event_of(announcement, folder, listings, seen)
            deliver([event])
            seen.mark_sent(announcement.number)
            yield event
        else:
            seen.mark_sent(announcement.number)


def _event_of(announcement: Announcement, folder: str, listings: str, seen: SeenFiles) -> Event:
    """Write the listing of an announcement, and return its event."""
    # Runs are named after their listing. What a name could carry, such as a template, stays out.
    watched = re.sub(r"[^\w.-]+", "-", place_word(folder))
    name = f"{watched}-{announcement.number:08d}-{str(announcement.event_id)[:8]}{SUFFIX}"
    source = write_whole(
        open_store(listings), name, source_list(seen.sources_of(announcement.number))
    )
    return batch_announced(
        batch_id_of((source,), SourceOptions()),
        source=source,
        prefix=folder,
        files=announcement.files,
        n_bytes=announcement.n_bytes,
        event_id=announcement.event_id,
    )


@contextlib.contextmanager
def _memory(state: Path) -> Iterator[SeenFiles]:
    """Open the memory of a watch for this process alone."""
    lock = FileLock(state / "lock")
    try:
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise ConfigError(
            f"another process watches with the memory in {state}; stop it, or name another folder"
            " with --state"
        ) from error
    except OSError as error:
        raise ConfigError(
            f"{state} cannot be used for the memory of the watch: {error.strerror}; name another"
            " folder with --state"
        ) from error
    try:
        with contextlib.closing(SeenFiles(state / "seen.sqlite")) as seen:
            yield seen
    finally:
        lock.release()


def _require_usable(folder: str, state: Path, listings: str) -> None:
    """Refuse memory and listings below the watched folder, where they would be announced.

    Nor may an address have the mark of a template, since runs are given addresses by templates.

    Raises:
        InputError: An address has such a mark, or lies below the folder.
    """
    for place in (folder, str(state), listings):
        if without_templates(place) != place:
            raise InputError(
                f"{place} has the mark of a template in it ({{{{, {{% or {{#), which a trigger"
                " would render; name a folder without one"
            )
    for place in (str(state), listings):
        if _is_below(place, folder):
            raise InputError(
                f"{place} lies below the watched folder {folder}; name a folder elsewhere"
            )


def _is_below(place: str, folder: str) -> bool:
    if is_object(place) or is_object(folder):
        return is_object(place) and is_object(folder) and is_within(place, folder)
    return is_inside(os.path.realpath(place), os.path.realpath(folder))
