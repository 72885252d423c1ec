"""The plan file: TOML, read and checked before anything is loaded.

Every `[[make]]` names a method; a setting that is a list is swept, one picture a value and parent.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ...data.errors import ConfigError
from ...data.text.wording import did_you_mean, shown
from ...data.toml_file import read_toml
from ..generators.presets import PRESETS
from ..laundering import VERSION, conditions
from ..masks import RULES
from .parent_condition import parse_condition
from .plan import Block, Parents, Plan
from .prompts import MODERATION
from .settings import (
    DEPTH_IS_GIVEN,
    MAX_SEED,
    METHODS,
    ParentsTable,
    check_settings,
)

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
_OWN: Final = ("method", "name", "of")
_CONTROL_NEEDS: Final = "control needs controlnet = FOLDER and control = canny, ..."


def read_plan(path: Path) -> Plan:
    """The plan of a TOML file.

    Raises:
        ConfigError: It cannot be read, or something in it is unknown or out of place.
    """
    try:
        told = read_toml(path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read as a plan: {error}") from error
    return plan_of_dict(told, folder=path.parent, source=str(path))


def plan_of_dict(told: Mapping[str, Any], *, folder: Path, source: str = "the plan") -> Plan:
    """The plan of plain values, checked.

    Raises:
        ConfigError: As `read_plan`.
        SynthError: A size that a registered generator cannot make, or an unknown condition.
    """
    _only(told, ("seed", "parents", "make"), source)
    seed = told.get("seed", 0)
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed <= MAX_SEED:
        raise ConfigError(
            f"{source}: seed is {shown(seed)}; allowed: a whole number from 0 to {MAX_SEED}"
        )
    rows = told.get("make")
    if isinstance(rows, Mapping):
        raise ConfigError(f"{source}: make is a table; write [[make]], once for each block")
    if not isinstance(rows, (list, tuple)) or not rows:
        raise ConfigError(f"{source} makes nothing; add a [[make]] with a method")
    parents = _parents(told.get("parents", {}), f"{source}, [parents]")
    blocks: list[Block] = []
    for row in rows:
        blocks.append(_block(row, [block.name for block in blocks], source))
        _check_places(blocks[-1], folder, f"{source}, [[make]] {blocks[-1].name}")
    return Plan(seed=seed, parents=parents, blocks=tuple(blocks), folder=folder)


def _parents(told: Any, where: str) -> Parents:
    check_settings(ParentsTable, told, where=where, missing={})
    if "where" in told:
        try:
            parse_condition(told["where"])
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from error
    return Parents(**told)


def _block(row: Any, earlier: Sequence[str], source: str) -> Block:
    if not isinstance(row, Mapping):
        raise ConfigError(f"{source}: make holds {shown(row)}; allowed: tables, written [[make]]")
    method = row.get("method")
    if not isinstance(method, str) or method not in METHODS:
        raise ConfigError(
            f"{source}: no method is named {shown(method)}; allowed: {', '.join(METHODS)}"
            f"{did_you_mean(method, METHODS)}"
        )
    name = row.get("name", method)
    where = f"{source}, [[make]] {name}"
    if not isinstance(name, str) or _NAME.fullmatch(name) is None or name == "parents":
        raise ConfigError(
            f"{source}: name = {shown(name)}; allowed: 1 to 40 of a-z, 0-9, dots, hyphens and "
            "underscores, a letter or digit first, and not parents"
        )
    if name in earlier:
        raise ConfigError(f"{where}: that name is taken; give it another with name = ...")
    of = row.get("of", "parents")
    if not isinstance(of, str) or of not in {"parents", *earlier}:
        raise ConfigError(
            f"{where}: of = {shown(of)}; allowed: parents, or an earlier block "
            f"({', '.join(earlier) or 'there is none'})"
        )
    settings = {key: value for key, value in row.items() if key not in _OWN}
    named = f"{', '.join(PRESETS)}, or a folder"
    check_settings(
        METHODS[method],
        settings,
        where=where,
        missing={
            needed: f"{method} needs {needed} = ...; allowed: {named}"
            for needed in ("generator", "autoencoder")
        }
        | {"controlnet": _CONTROL_NEEDS, "control": _CONTROL_NEEDS},
    )
    if method == "launder":
        chosen = conditions(tuple(map(str, _values(settings, "condition"))))
        settings["condition"] = [f"{VERSION}/{one.name}" for one in chosen]
    if method == "text" and not {"prompt", "prompts"} & settings.keys():
        raise ConfigError(f"{where}: text needs prompt = ... or prompts = FILE")
    _check_sizes(settings)
    return Block(name=name, method=method, of=of, settings=settings)


def _check_places(block: Block, folder: Path, where: str) -> None:
    """Files and folders that are not there are told before the work, not once a picture."""
    for prompts in _values(block.settings, "prompts"):
        if prompts != MODERATION and not _is_there(folder / str(prompts), is_folder=False):
            raise ConfigError(
                f"{where}: prompts = {shown(prompts)} is no file; allowed: {MODERATION}, or a file "
                f"(looked in {folder.resolve()})"
            )
    for mask in _values(block.settings, "mask"):
        if mask not in RULES and not _is_there(Path(str(mask)), is_folder=True):
            raise ConfigError(
                f"{where}: mask = {shown(mask)}; allowed: {', '.join(RULES)}, or a folder of masks"
                f"{did_you_mean(mask, RULES)}"
            )
    controls = _values(block.settings, "controls")
    for folder_of_controls in controls:
        if not _is_there(Path(str(folder_of_controls)), is_folder=True):
            raise ConfigError(f"{where}: controls = {shown(folder_of_controls)} is no folder")
    if "depth" in _values(block.settings, "control") and not controls:
        raise ConfigError(f"{where}: {DEPTH_IS_GIVEN}")


def _is_there(path: Path, *, is_folder: bool) -> bool:
    try:
        return path.is_dir() if is_folder else path.is_file()
    except OSError:  # such as a name that is too long
        return False


def _check_sizes(settings: Mapping[str, Any]) -> None:
    """Sizes that a registered generator cannot make are refused before anything is loaded."""
    sides = (_values(settings, name) or [None] for name in ("generator", "width", "height"))
    for name, width, height in itertools.product(*map(dict.fromkeys, sides)):
        if name in PRESETS:
            preset = PRESETS[name]
            preset.check_size(width or preset.default_px, height or preset.default_px)


def _values(settings: Mapping[str, Any], name: str) -> list[Any]:
    """The values of a setting: none, one, or those of a list."""
    value = settings.get(name, [])
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _only(told: Any, allowed: Sequence[str], where: str) -> None:
    if not isinstance(told, Mapping):
        raise ConfigError(f"{where} is {shown(told)}; allowed: a table")
    if unknown := sorted(str(name) for name in told if name not in allowed):
        raise ConfigError(
            f"{where}: unknown {', '.join(unknown)}; allowed: {', '.join(allowed)}"
            f"{did_you_mean(unknown[0], allowed)}"
        )
