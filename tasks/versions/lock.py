"""The lock of a published dataset, `VERSIONS.lock`, checked before anything relies on it.

A lock may come from anybody: names of files lead nowhere but below the dataset, and every value has
the type that a publication writes.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, ValidationError

from ...data.errors import InputError, brief, shorten
from ...data.store.places.place import LOCK_NAME
from ...data.text.wording import shown
from ..publish.data_files.formats import Format

_FORMAT: Final = 1
_FILE: Final = r"^data/([0-9a-f]{8}/)?(train|validation|test)-[0-9]+-of-[0-9]+\.(parquet|tar)$"
_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Model(BaseModel):
    # Later releases may record more.
    model_config = ConfigDict(strict=True, extra="ignore")


class _File(_Model):
    sha256: _Sha256
    n_bytes: NonNegativeInt


class _Ids(_Model):
    count: NonNegativeInt
    sha256: _Sha256


class _Selection(_Model):
    where: str | None = None
    ids: _Ids | None = None
    only_labelled: bool = False


class _Limits(_Model):
    cap: dict[str, int] = {}
    balance: str | None = None
    exclude_license_flags: list[str] = []


class _Tables(_Model):
    """Versions of tables: only that of the images is in every lock."""

    model_config = ConfigDict(strict=True, extra="allow")
    __pydantic_extra__: dict[str, NonNegativeInt | None]

    images: NonNegativeInt


class _Lock(_Model):
    """What a lock has, with the defaults of releases that did not record it."""

    files: dict[Annotated[str, Field(pattern=_FILE)], _File]
    tables: _Tables
    seed: int
    splits: dict[str, NonNegativeInt] = {}
    fractions: Annotated[list[float], Field(min_length=3, max_length=3)] = [0.8, 0.1, 0.1]
    name: str | None = None
    lake: str | None = None
    data_format: Format = "hf"
    detector: str | None = None
    weights_sha256: str | None = None
    profile: str | None = None
    precision: str | None = None
    policy_id: str | None = None
    labels_from_decisions: bool = False
    selection: _Selection | None = None
    limits: _Limits | None = None
    embedding_size: NonNegativeInt | None = None
    allow_shortcuts: bool = False
    align_encoding: bool = False
    near_duplicate_max_distance: int | None = None
    assay: str | None = None


def parse_lock(raw: bytes, *, source: str) -> dict[str, Any]:
    """Return the content of a lock.

    Args:
        raw: Bytes of the file.
        source: Path or address of the file, for messages.

    Raises:
        InputError: The bytes are cut off, are no lock of a dataset, or have a value that no
            publication writes; the message names it.
    """
    try:
        lock = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"cannot read {source}: {brief(error)}; it is cut off or no {LOCK_NAME}: restore it, or"
            " publish the dataset again"
        ) from error
    if not isinstance(lock, dict) or not {"files", "tables", "seed"} <= lock.keys():
        raise InputError(f"{source} is not the {LOCK_NAME} of a dataset published by assay")
    if lock.get("format") != _FORMAT:
        raise InputError(
            f"{source} has format {shorten(str(lock.get('format')), 20)}; this version of assay"
            f" reads format {_FORMAT}; upgrade assay"
        )
    try:
        _Lock.model_validate(lock)
    except ValidationError as error:
        first = error.errors()[0]
        name = shorten(".".join(str(part) for part in first["loc"] if part != "[key]"), 100)
        seen = (
            f"lacks {name}"
            if first["type"] == "missing"
            else f"has {name} = {shown(first['input'])}, which no publication writes"
            f" ({first['msg']})"
        )
        raise InputError(f"{source} {seen}; restore it, or publish the dataset again") from error
    return lock
