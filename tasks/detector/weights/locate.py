"""Location of a checkpoint's files by the detector's name; no file is read here."""

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
    """Place of a checkpoint's files, and the card that they must fit.

    Attributes:
        files: Paths of its files.
        expected: Card that the files must fit, found by name or by hub revision.
        known_as: Detector's id for a hub revision without a card; None for folders.
        added_as: Name under which an installed package adds the folder.
    """

    files: CheckpointFiles
    expected: DetectorCard | None = None
    known_as: str | None = None
    added_as: str | None = None

    def state(self) -> tuple[object, ...]:
        """Return sizes, times and inodes of the files, which change whenever a file does."""
        out: list[object] = []
        for file in (self.files.weights, self.files.config, self.files.settings):
            try:
                of = None if file is None else file.stat()
            except OSError:
                of = None  # the later read reports the error
            out.append(of and (of.st_size, of.st_mtime_ns, of.st_ctime_ns, of.st_ino))
        return tuple(out)


def has_name(name: str) -> bool:
    """Return whether a name is a registered detector's or one that a package or a caller adds."""
    return name in registered_names() or name in added_names()


def locate(name: str, cache_dir: str | Path | None = None) -> Place | PythonDetector:
    """Find the files of a registered name, a folder, or a hub id at a commit.

    A name that an installed package or a caller adds may give a Python object instead.

    Args:
        name: Name as for `--detector`.
        cache_dir: Folder of the hub's cache; default: the one of the hub's environment variables.

    Raises:
        ConfigError: The name is unknown.
        ModelError: The files cannot be obtained.
    """
    card = card_by_name(name)
    if card is not None and card.repo is None:
        if not card.weights_sha256:
            raise ModelError(
                f"this build of assay lacks the {card.name} detector; install a release"
            )
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
    parsed = parse_hub_id(name) if not name.startswith((".", "/", "~")) else None
    if parsed is not None:
        pinned = next(
            (c for c in cards_of_repo(parsed.repo) if c.revision == parsed.revision), None
        )
        files = files_from_hub(parsed, card=pinned, cache_dir=cache_dir)
        return Place(files=files, expected=pinned, known_as=str(parsed))
    if "/" in name or "\\" in name:
        raise ModelError(f"there is no folder {name}; name a folder that holds a checkpoint")
    known = (*registered_names(), *added_names())
    raise ConfigError(
        f"detector {name!r} is unknown; choose one of {', '.join(known)}, a hub id"
        " org/name@<commit>, or a folder (./name)"
    )
