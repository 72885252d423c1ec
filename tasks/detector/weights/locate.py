"""From a detector's name to the files of its checkpoint; none of them is read here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ....data.errors import ConfigError, ModelError
from ....data.user_paths import from_home
from .hub import CheckpointFiles, HubId, files_from_hub, files_in_folder, parse_hub_id
from .python_detector import PythonDetector, added, added_names
from .registry import MINI_FOLDER, DetectorCard, card_by_name, cards_of_repo, registered_names


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a checkpoint lies, and what it must be.

    Attributes:
        files: Paths of its files.
        expected: Card that the files must fit, by name or by revision of the hub.
        known_as: Id where no card gives one; None for folders.
        added_as: Name under which an installed package adds the folder.
    """

    files: CheckpointFiles
    expected: DetectorCard | None = None
    known_as: str | None = None
    added_as: str | None = None

    def state(self) -> tuple[object, ...]:
        """Return what changes whenever a file of the checkpoint does: sizes, times and inodes."""
        out: list[object] = []
        for file in (self.files.weights, self.files.config, self.files.settings):
            try:
                of = None if file is None else file.stat()
            except OSError:
                of = None  # reading it will say what is wrong
            out.append(of and (of.st_size, of.st_mtime_ns, of.st_ctime_ns, of.st_ino))
        return tuple(out)


def has_name(name: str) -> bool:
    """Whether a plain name stands for a detector here: assay's own, or one that is added."""
    return name in registered_names() or name in added_names()


def locate(name: str, cache_dir: str | Path | None = None) -> Place | PythonDetector:
    """Find the files of a registered name, a folder, or a hub id at a commit.

    A name that an installed package or a caller adds may stand for a Python object instead.

    Args:
        name: As given with `--detector`.
        cache_dir: Cache of the hub; default: the hub's own, as its environment variables say.

    Raises:
        ConfigError: The name stands for nothing.
        ModelError: The files cannot be had.
    """
    card = card_by_name(name)
    if card is not None and card.repo is None:
        if not card.weights_sha256:
            raise ModelError(f"this build of assay has no {card.name} detector; install a release")
        return Place(files=files_in_folder(MINI_FOLDER), expected=card)
    if card is not None and card.repo is not None:
        hub_id = HubId(repo=card.repo, revision=card.revision)
        return Place(files=files_from_hub(hub_id, card=card, cache_dir=cache_dir), expected=card)
    own = added(name)
    if isinstance(own, Path):
        return Place(files=files_in_folder(own), added_as=name)
    if own is not None:
        return own
    folder = from_home(name)
    if folder.is_dir():
        return Place(files=files_in_folder(folder))
    found = parse_hub_id(name) if not name.startswith((".", "/", "~")) else None
    if found is not None:
        pinned = next((c for c in cards_of_repo(found.repo) if c.revision == found.revision), None)
        files = files_from_hub(found, card=pinned, cache_dir=cache_dir)
        return Place(files=files, expected=pinned, known_as=str(found))
    if "/" in name or "\\" in name:
        raise ModelError(f"there is no folder {name}; name a folder that holds a checkpoint")
    known = (*registered_names(), *added_names())
    raise ConfigError(
        f"detector {name!r} is unknown; choose one of {', '.join(known)}, a hub id"
        " org/name@<commit>, or a folder (./name)"
    )
