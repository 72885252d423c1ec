"""A published dataset made again from its lock: the same tables, options and bytes.

The tables are read at the versions that the lock names, and the files are compared with its hashes
before the folder is put in place. That works until a vacuum removes a version, and as long as no
image of the dataset was forgotten.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import polars as pl

from ...data.errors import (
    ConfigError,
    GateRefused,
    InputError,
    MissingVersion,
    StoreError,
    brief,
)
from ...data.schema import TABLES
from ...data.score_key import ScoreKey
from ...data.store.erasure.tombstones import TABLE as FORGOTTEN
from ...data.store.lake import Lake
from ...data.store.open_store import require_no_secrets
from ...data.store.tables import FOLDER
from ...data.store.upkeep.table_repair import files_of
from ...data.text.wording import counted
from ...version import __version__
from ..copies.near_duplicates import MAX_DISTANCE
from ..publish.publish import PublishResult, publish
from ..publish.selection import Selection

# Options that a lock records under their own names.
_OPTIONS = ("labels_from_decisions", "allow_shortcuts", "align_encoding", "seed", "fractions")


def publish_from_lock(
    lake: Lake,
    lock: Mapping[str, Any],
    out: Path | str,
    *,
    where: str | pl.Expr | None = None,
    ids: Iterable[str] | None = None,
    without_forgotten: bool = False,
    overwrite: bool = False,
) -> PublishResult:
    """Make a published dataset again, equal to the byte, from its lock.

    Args:
        lake: Lake of the dataset.
        lock: Content of its `VERSIONS.lock`; see `read_lock`.
        out: Folder to create, or a prefix of an object store.
        where: Expression by which the dataset was chosen; a condition in SQL is in the lock.
        ids: Ids of the images by which the dataset was chosen; the lock has their hash only.
        without_forgotten: Whether to publish the rest of a dataset with images that were forgotten
            since; its files then differ from the lock.
        overwrite: Whether to replace `out` if it is a dataset published by assay.

    Raises:
        ConfigError: The lock is of another release of assay, or a choice is not the one of the
            lock.
        MissingVersion: A table has lost the version that the lock names.
        GateRefused: The files differ from those of the lock, or images were forgotten.
        StoreError: The lake cannot be read, or the folder cannot be written.
    """
    selection = _selection(lock, where=where, ids=ids)
    if lock.get("near_duplicate_max_distance") != MAX_DISTANCE:
        raise ConfigError(
            f"the dataset was grouped with a distance of {lock.get('near_duplicate_max_distance')}"
            f" bits, this release of assay groups with {MAX_DISTANCE}; install assay"
            f" {lock.get('assay')}"
        )
    versions = versions_of(lock)
    require_versions(lake, versions)
    forgotten = _forgotten_since(lake, versions)
    limits = lock.get("limits") or {}
    kept = selection.ids
    if kept is not None and forgotten:
        if not without_forgotten and kept.is_in(list(forgotten)).any():
            raise _forgotten(lake, forgotten)
        kept = kept.filter(~kept.is_in(list(forgotten)))

    def check(made: Mapping[str, Any]) -> None:
        if without_forgotten and forgotten:
            return
        if _by_name(lock["files"]) != _by_name(made["files"]):
            raise _forgotten(lake, forgotten) if forgotten else _differing(lock, made)

    return publish(
        lake,
        out,
        versions=versions,
        key=_key(lock),
        policy_id=lock.get("policy_id"),
        where=selection.where,
        ids=kept,
        only_labelled=selection.only_labelled,
        cap=limits.get("cap"),
        balance=limits.get("balance"),
        exclude_license_flags=limits.get("exclude_license_flags", ()),
        embeddings=lock.get("embedding_size") is not None,
        format=lock.get("data_format", "hf"),
        name=lock.get("name"),
        check=check,
        overwrite=overwrite,
        **{name: lock[name] for name in _OPTIONS if name in lock},
    )


def lake_of_lock(lock: Mapping[str, Any], lake: str | None = None) -> Lake:
    """Open the lake of a dataset.

    Args:
        lock: Content of its `VERSIONS.lock`.
        lake: Address of a lake that has moved; default: the one in the lock.

    Raises:
        ConfigError: The lock names no lake.
        StoreError: The lake does not exist or cannot be read.
    """
    address = lake or lock.get("lake")
    if address is None:
        raise ConfigError("the lock names no lake; give the lake of the dataset")
    try:
        require_no_secrets(address)
        return Lake(address, create=False)
    except StoreError as error:
        if lake:
            raise
        raise StoreError(f"{brief(error)}; a lake that has moved is given with --lake") from error


def require_no_choice(**given: object) -> None:
    """Refuse options beside a lock, which has them.

    Args:
        **given: Options by name; one is given if its value counts as true.

    Raises:
        ConfigError: An option is given.
    """
    if named := [f"--{name.replace('_', '-')}" for name, value in given.items() if value]:
        raise ConfigError(
            f"{', '.join(named)} cannot be given with --from-lock, which takes them from the lock;"
            " leave them out"
        )


def versions_of(lock: Mapping[str, Any]) -> dict[str, int | None]:
    """Return the version per table that a lock names; None for a table that was empty."""
    return {table: lock["tables"].get(table) for table in TABLES}


def require_versions(lake: Lake, versions: Mapping[str, int | None]) -> None:
    """Refuse versions of tables that a vacuum has removed, in whole or in part.

    Args:
        lake: Lake of the tables.
        versions: Version per table; None for an empty table.

    Raises:
        MissingVersion: Files of a version are gone; the message names the tables and how many.
    """
    gone = []
    for table, version in versions.items():
        if version is None:
            continue
        latest = lake.version(table)
        if latest is None or version > latest:
            has = "is empty" if latest is None else f"has versions up to {latest}"
            raise MissingVersion(
                f"the lock names version {version} of {table}, which {has} in {lake.uri}; give the"
                " lake of the dataset, and its lock as it was written"
            )
        try:
            named = files_of(table, lake.tables.at(table, version))
        except MissingVersion as error:
            gone.append(brief(error))
            continue
        there = {file.name for file in lake.store.files(f"{FOLDER}/{table}")}
        lost = [PurePosixPath(file.name).name for file in named if file.name not in there]
        if lost:
            gone.append(
                f"{table} has lost {len(lost):,} of the {counted(len(named), 'file')} of"
                f" version {version}"
            )
    if gone:
        raise MissingVersion(
            "the dataset cannot be made again, since a vacuum removed what it was read from:"
            f" {'; '.join(gone)}; publish the lake as it is now, without --from-lock"
        )


def _selection(
    lock: Mapping[str, Any], *, where: str | pl.Expr | None, ids: Iterable[str] | None
) -> Selection:
    """Return the selection of a lock, completed by what a lock cannot hold."""
    recorded = lock.get("selection") or {}
    if recorded.get("ids") and ids is None:
        raise ConfigError(
            "the dataset was published by"
            f" {counted(recorded['ids']['count'], 'id')}, of which the lock has"
            " the hash only; give the same file with --ids"
        )
    condition = recorded.get("where") if where is None else where
    only_labelled = bool(recorded.get("only_labelled"))
    try:
        selection = Selection.of(where=condition, ids=ids, only_labelled=only_labelled)
    except ConfigError as error:
        raise ConfigError(
            f"the condition of the dataset cannot be read: {brief(error)}; a condition that is an"
            " expression of polars is given from Python"
        ) from error
    made = selection.record()
    for name in ("ids", "where"):
        if made[name] != recorded.get(name):
            raise ConfigError(
                f"{name} differs from the lock, which has {recorded.get(name)}; given: {made[name]}"
            )
    return selection


def _key(lock: Mapping[str, Any]) -> ScoreKey | None:
    values = {name: lock.get(name) for name in ScoreKey.columns()}
    texts = {name: value for name, value in values.items() if isinstance(value, str)}
    if not texts:
        return None
    if texts.keys() != values.keys():
        raise InputError(f"the lock has no whole score key: {values}")
    return ScoreKey(**texts)


def _forgotten_since(lake: Lake, versions: Mapping[str, int | None]) -> frozenset[str]:
    """Return the ids of images that were forgotten after some versions."""
    ids = lake.tombstones.ids()
    version = versions.get(FORGOTTEN)
    if not ids or version is None:
        return ids
    before = lake.scan(FORGOTTEN, version).select("image_id").collect()["image_id"]
    return ids.difference(before)


def _forgotten(lake: Lake, forgotten: frozenset[str]) -> GateRefused:
    n = len(forgotten)
    were = counted(n, "image was", "images were")
    return GateRefused(
        f"not published, since {were} forgotten after the dataset was published, such as"
        f" {min(forgotten)}, and its files would differ from the lock; publish the rest with"
        " --without-forgotten"
    )


def _by_name(files: Mapping[str, Any]) -> dict[str, Any]:
    """Return files by their last names: in an object store their folder has another name."""
    return {PurePosixPath(name).name: facts for name, facts in files.items()}


def _differing(lock: Mapping[str, Any], made: Mapping[str, Any]) -> GateRefused:
    """Return the error for a dataset whose files are not those of its lock."""
    before, after = _by_name(lock["files"]), _by_name(made["files"])
    names = sorted(
        name for name in before.keys() | after.keys() if before.get(name) != after.get(name)
    )
    n_before, n_after = (sum(one["splits"].values()) for one in (lock, made))
    images = "" if n_before == n_after else f"; {counted(n_after, 'image')} instead of {n_before:,}"
    release = ""
    if lock.get("assay") != __version__:
        release = f"; it was published by assay {lock.get('assay')}, and this is {__version__}"
    return GateRefused(
        f"not published, since {len(names):,} of {counted(len(before), 'file')}"
        " would differ from the"
        f" lock, such as {names[0]}{images}{release}; publish without --from-lock, or with the lock"
        " as it was written, and the release and the packages that made it"
    )
