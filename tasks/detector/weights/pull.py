"""Download of a registered checkpoint: exactly its pinned files, with their hashes checked."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path

from ....data.errors import ConfigError, InputError, UntrustedWeights
from .hub import (
    CONFIG,
    WEIGHTS,
    CheckpointFiles,
    HubId,
    cache_root,
    files_from_hub,
    files_in_folder,
)
from .registry import DetectorCard, card_by_name, registered_names
from .safetensors_file import check_hash, read_weights, sha256_of


def pull(
    name: str,
    *,
    to: Path | None = None,
    source: Path | None = None,
    cache_dir: str | Path | None = None,
) -> CheckpointFiles:
    """Put a registered checkpoint into the hub's cache, from which its name loads it.

    A cached file with another hash is discarded and fetched once more. Downloads go through
    huggingface_hub, which keeps unfinished files under another name and resumes them.

    Args:
        name: Registered name.
        to: Folder to copy the files to as well.
        source: Folder with the files; nothing is downloaded then.
        cache_dir: Folder of the hub's cache; default: the one of the hub's environment variables.

    Returns:
        Paths of the files in the cache.

    Raises:
        ConfigError: The name is not registered, or needs no download.
        ModelError: The files cannot be obtained.
        UntrustedWeights: The files do not have the pinned hashes; they are not kept.
        InputError: A folder cannot be written.
    """
    card = card_by_name(name)
    if card is None or card.repo is None:
        known = ", ".join(n for n in registered_names() if getattr(card_by_name(n), "repo", None))
        raise ConfigError(f"{name!r} is no detector to download; choose one of: {known}")
    hub_id = HubId(repo=card.repo, revision=card.revision)
    if source is not None:
        files = _adopt(files_in_folder(source), card, hub_id, cache_dir)
    else:
        files = files_from_hub(hub_id, card=card, cache_dir=cache_dir)
        if wrong := _not_as_pinned(files, card):
            for file in wrong:
                _discard(file)
            files = files_from_hub(hub_id, card=card, cache_dir=cache_dir)
    if wrong := _not_as_pinned(files, card):
        for file in wrong:
            _discard(file)
        raise UntrustedWeights(
            f"{hub_id}: {', '.join(file.name for file in wrong)} came with another hash than the"
            " pinned one and was discarded; the hub or mirror of this machine does not serve the"
            " published file: check HF_ENDPOINT"
        )
    if to is not None:
        _copy(files, to)
    return files


def _not_as_pinned(files: CheckpointFiles, card: DetectorCard) -> list[Path]:
    expected = [(files.weights, card.weights_sha256), (files.config, card.config_sha256)]
    return [
        file
        for file, sha256 in expected
        if file is not None
        and sha256 is not None
        and not sha256_of(read_weights(file)).startswith(sha256)
    ]


def _adopt(
    files: CheckpointFiles, card: DetectorCard, hub_id: HubId, cache_dir: str | Path | None
) -> CheckpointFiles:
    """Check the files of a folder and copy them into the cache in the hub library's layout."""
    check_hash(
        sha256_of(read_weights(files.weights)),
        card.weights_sha256,
        str(files.weights),
        do="copy the right file",
    )
    wanted = {WEIGHTS: files.weights}
    if card.config_sha256 is not None:
        if files.config is None:
            raise UntrustedWeights(f"{files.weights.parent} has no {CONFIG}; copy it too")
        digest = sha256_of(read_weights(files.config))
        check_hash(digest, card.config_sha256, str(files.config), do="copy the right file")
        wanted[CONFIG] = files.config
    repo = cache_root(cache_dir) / f"models--{hub_id.repo.replace('/', '--')}"
    snapshot = repo / "snapshots" / hub_id.revision
    _copy_all(wanted, snapshot)
    return CheckpointFiles(
        weights=snapshot / WEIGHTS,
        config=snapshot / CONFIG if CONFIG in wanted else None,
        settings=None,
    )


def _discard(file: Path) -> None:
    """Delete an entry of the cache and the file that it links to."""
    file.resolve().unlink(missing_ok=True)
    file.unlink(missing_ok=True)


def _copy(files: CheckpointFiles, folder: Path) -> None:
    named = {WEIGHTS: files.weights, CONFIG: files.config}
    _copy_all({name: file for name, file in named.items() if file is not None}, folder)


def _copy_all(files: dict[str, Path], folder: Path) -> None:
    """Copy files by writing each under another name first, so that no partial file is ever read."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, file in files.items():
            unfinished = folder / f".{name}.{secrets.token_hex(4)}"
            shutil.copyfile(file, unfinished)
            os.replace(unfinished, folder / name)  # noqa: PTH105
    except OSError as error:
        raise InputError(f"cannot write {folder}: {error.strerror or error}") from error
