"""Sources of a checkpoint's files: a folder, the hub's cache, or the hub.

Only the required files are fetched, by commit, through huggingface_hub with its environment
variables and tokens. No other file of a repository is read.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ....data.errors import ModelError, UntrustedWeights, WrongRevision
from .registry import KNOWN_BAD, DetectorCard, cards_of_repo

WEIGHTS: Final = "model.safetensors"
CONFIG: Final = "config.json"
SETTINGS: Final = "detector.toml"

_HUB_ID: Final = re.compile(r"[\w.-]+/[\w.-]+")
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_PICKLES: Final = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
# Limit of the hub's first response; the download itself has none.
_TIMEOUT_S: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HubId:
    """Hub repository at one commit."""

    repo: str
    revision: str

    def __str__(self) -> str:
        return f"{self.repo}@{self.revision}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointFiles:
    """Paths of one checkpoint's files; None for a file that it does not have."""

    weights: Path
    config: Path | None
    settings: Path | None


def parse_hub_id(name: str) -> HubId | None:
    """Return the repository and commit of `org/name@commit`; None for other names.

    Raises:
        WrongRevision: The commit is missing, not a full one, known to be broken, or another
            than the registered one of this repository.
    """
    repo, at, revision = name.partition("@")
    if _HUB_ID.fullmatch(repo) is None:
        return None
    cards = cards_of_repo(repo)
    pinned = next((f"{card.repo}@{card.revision}" for card in cards), None)
    advice = f"use {pinned}" if pinned else f"use {repo}@<commit>, 40 hex digits, from its history"
    for bad_repo, digits, why in KNOWN_BAD:
        if repo.lower() == bad_repo.lower() and at and revision.lower().startswith(digits):
            raise WrongRevision(f"{name} is {why}; {advice}")
    if _COMMIT.fullmatch(revision) is None:
        seen = f"revision {revision!r} is no full commit" if at else "no revision is given"
        raise WrongRevision(f"{name}: {seen}; a branch or tag can change its weights: {advice}")
    if any(card.by_name for card in cards) and revision not in {c.revision for c in cards}:
        raise WrongRevision(
            f"{name} is not the revision that was checked; {advice}, or download this one to a "
            "folder and name the folder"
        )
    return HubId(repo=repo, revision=revision)


def files_in_folder(folder: Path) -> CheckpointFiles:
    """Return the files of a checkpoint in a local folder.

    Raises:
        UntrustedWeights: The folder has weights as pickles only.
        ModelError: The folder has no `model.safetensors`, or cannot be read.
    """
    try:
        names = sorted(entry.name for entry in folder.iterdir())
    except OSError as error:
        raise ModelError(f"cannot read {folder}: {error.strerror or error}") from error
    if WEIGHTS not in names:
        pickles = [name for name in names if name.endswith(_PICKLES)]
        if pickles:
            raise UntrustedWeights(
                f"{folder} has {pickles[0]} and no {WEIGHTS}; pickles can run code and are never"
                " opened: get the checkpoint in safetensors format"
            )
        raise ModelError(
            f"{folder} has no {WEIGHTS} (it has {', '.join(names[:5]) or 'nothing'}); name a "
            "folder that holds a checkpoint"
        )
    return CheckpointFiles(
        weights=folder / WEIGHTS,
        config=folder / CONFIG if CONFIG in names else None,
        settings=folder / SETTINGS if SETTINGS in names else None,
    )


def files_from_hub(
    hub_id: HubId, *, card: DetectorCard | None, cache_dir: str | Path | None
) -> CheckpointFiles:
    """Return the files of a hub checkpoint, from the hub's cache or downloaded.

    Args:
        hub_id: Repository and commit.
        card: Card of the registered detector; None where there is none.
        cache_dir: Folder of the hub's cache; default: the one of the hub's environment variables.

    Raises:
        ModelError: The files are neither in the cache nor can be downloaded.
        UntrustedWeights: The repository has no single safetensors file.
        WrongRevision: The repository has no such commit.
    """
    weights = _fetch(hub_id, WEIGHTS, cache_dir)
    if weights is None:
        raise UntrustedWeights(
            f"{hub_id} has no {WEIGHTS}; weights are loaded from one safetensors file only; choose"
            " a repository that has it"
        )
    # The authors' layout needs no config, and its identity does not depend on one.
    needs_config = card is None or card.layout != "timm"
    config = _fetch(hub_id, CONFIG, cache_dir) if needs_config else None
    return CheckpointFiles(weights=weights, config=config, settings=None)


def cache_root(cache_dir: str | Path | None = None) -> Path:
    """Return the folder of the hub's cache: as given, or the one of its environment variables."""
    from huggingface_hub import constants

    return Path(cache_dir or os.environ.get("HF_HUB_CACHE") or constants.HF_HUB_CACHE)


def is_cached(hub_id: HubId, *, cache_dir: str | Path | None = None) -> bool:
    """Return whether the hub's cache has the weights, without network access or a hash check."""
    import huggingface_hub as hub

    cached = hub.try_to_load_from_cache(
        hub_id.repo, WEIGHTS, cache_dir=str(cache_root(cache_dir)), revision=hub_id.revision
    )
    return isinstance(cached, str)


def _fetch(hub_id: HubId, filename: str, cache_dir: str | Path | None) -> Path | None:
    """Return the path of one file; None where the repository lacks it at this commit."""
    import huggingface_hub as hub
    from huggingface_hub import errors

    cache = str(cache_root(cache_dir))
    repo, revision = hub_id.repo, hub_id.revision
    try:
        cached = hub.try_to_load_from_cache(repo, filename, cache_dir=cache, revision=revision)
    except errors.HFValidationError as error:
        raise ModelError(f"{repo} is not a valid name of a hub repository: {error}") from error
    if isinstance(cached, str):
        return Path(cached)
    if cached is not None:  # the cache records that the file does not exist
        return None
    tried = f"{filename} of {hub_id} is not in the cache ({cache})"
    manual = (
        f"or download model.safetensors and config.json of {hub_id.repo} at that commit on another"
        " machine, put them in a folder, and name the folder; --detector mini needs no download"
    )
    if _is_offline():
        raise ModelError(f"{tried}, and HF_HUB_OFFLINE is set; unset it, {manual}")
    url = hub.hf_hub_url(repo, filename, revision=revision)
    failures: tuple[type[BaseException], ...] = (OSError, RuntimeError, *_transport_errors())
    try:
        # One request first: without a network, `hf_hub_download` retries for 23 s.
        hub.get_hf_file_metadata(url, timeout=_TIMEOUT_S)
        return Path(hub.hf_hub_download(repo, filename, revision=revision, cache_dir=cache))
    except errors.GatedRepoError as error:
        raise ModelError(
            f"{hub_id.repo} is gated; accept its terms on its page, then `hf auth login`"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise WrongRevision(f"{hub_id.repo} has no commit {hub_id.revision}; check it") from error
    except errors.RepositoryNotFoundError as error:
        raise ModelError(
            f"the hub has no {hub_id.repo}, or it is private; check the name, `hf auth login`,"
            f" {manual}"
        ) from error
    except errors.EntryNotFoundError:
        return None
    except failures as error:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise ModelError(
            f"{tried}, and {url} cannot be fetched ({reason}); connect this machine to it, {manual}"
        ) from error


def _is_offline() -> bool:
    # The library reads its variable once, at import; a caller may set it after that.
    from huggingface_hub import constants

    stated = os.environ.get("HF_HUB_OFFLINE", "")
    return bool(constants.HF_HUB_OFFLINE) or stated.upper() in {"1", "ON", "YES", "TRUE"}


def _transport_errors() -> tuple[type[BaseException], ...]:
    # huggingface_hub does not wrap the errors of its HTTP client, and has changed that client
    # before; its own HTTP error derives from the present client's base class.
    from huggingface_hub.errors import HfHubHTTPError

    plain = (BaseException, Exception, object)
    return tuple(base for base in HfHubHTTPError.__mro__ if base not in plain)
