"""The base that an adapter's metadata names, compared with the base that is loaded."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Final

BASE_KEYS: Final = ("base_model", "assay.base")
"""Metadata keys whose value is the base: a hub id, a path, or an id of assay."""
FAMILY_KEYS: Final = ("ss_base_model_version", "modelspec.architecture")
"""Metadata keys of other trainers whose value is a family of models."""
_PEFT_KEY: Final = "lora_adapter_metadata"
_PINNED: Final = re.compile(r"(?P<name>.+)@(?P<pin>[0-9a-f]{12,64})")
_HUB_ID: Final = re.compile(r"[\w.-]+/[\w.-]+")
_SIZES: Final = ("large", "medium")
_OF_FAMILY: Final = re.compile(r"sd[-_ ]?3|stable[-_ ]?diffusion[-_ ]?(v)?3")


def other_base(metadata: Mapping[str, str], generator_id: str, repo: str) -> str | None:
    """Return the base that metadata names if it differs from the loaded one, else None.

    Args:
        metadata: Metadata of the adapter's file.
        generator_id: Id of the loaded base, `NAME@HASH`.
        repo: Hub id of the loaded base, or of the published model with the same layers; empty if
            there is none.
    """
    for named in named_bases(metadata):
        if not _is_same(named, generator_id, repo):
            return named
    for key in FAMILY_KEYS:
        if (family := metadata.get(key, "").strip()) and not _is_family(family, repo):
            return family
    return None


def named_bases(metadata: Mapping[str, str]) -> list[str]:
    """Return all names of the base in metadata, from every key that trainers use.

    Args:
        metadata: Metadata of the adapter's file.
    """
    names = [metadata.get(key, "") for key in BASE_KEYS]
    try:
        config = json.loads(metadata.get(_PEFT_KEY, "{}"))
    except (ValueError, RecursionError):
        config = {}
    if isinstance(config, dict):
        names.append(config.get("transformer.base_model_name_or_path") or "")
    return [name.strip() for name in names if isinstance(name, str) and name.strip()]


def _is_same(named: str, generator_id: str, repo: str) -> bool:
    loaded, _, pin = generator_id.rpartition("@")
    if (match := _PINNED.fullmatch(named)) is not None:
        if match["pin"] == pin:
            return True
        if "/" not in match["name"]:
            # A hash of weights and a commit of the hub cannot be compared.
            return len(match["pin"]) != len(pin) and bool(repo)
        named = match["name"]
    if _HUB_ID.fullmatch(named) is not None:
        return named.lower() in {repo.lower(), loaded.lower()}
    # A path, as trainers write it, or a word: one part of it must match.
    parts = re.split(r"[/\\]", named)
    return PurePath(loaded).name in parts or any(_is_family(part, repo) for part in parts)


def _is_family(text: str, repo: str) -> bool:
    """Return whether a family's name fits a base, such as `stable-diffusion-v3-5-medium/lora`."""
    plain = text.lower()
    if _OF_FAMILY.search(plain) is None:
        return False
    size = next((size for size in _SIZES if size in plain), None)
    return size is None or size in repo.lower()
