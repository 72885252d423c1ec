"""The plan file: TOML, read and checked before anything is loaded.

Every `[[make]]` names a method; a setting that is a list is swept, one picture a value and parent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ...data.errors import ConfigError, SynthError
from ...data.text.wording import did_you_mean, shown
from ...data.toml_file import read_toml
from ..generators.registry import generator_names
from ..methods.registry import method_of
from .models import BLOCK_NAME, MAX_SEED, block_model
from .parent_condition import parse_condition
from .plan import Block, Parents, Plan
from .tables import check_table

_NAME: Final = re.compile(BLOCK_NAME)
_OWN: Final = ("method", "name", "of")


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
    folder = Path(folder)
    names = ("seed", "parents", "make")
    if not isinstance(told, Mapping):
        raise ConfigError(f"{source} is {shown(told)}; allowed: a table")
    if unknown := sorted(str(name) for name in told if name not in names):
        raise ConfigError(
            f"{source}: unknown {', '.join(unknown)}; allowed: {', '.join(names)}"
            f"{did_you_mean(unknown[0], names)}"
        )
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
        blocks.append(_block(row, [block.name for block in blocks], folder, source))
    return Plan(seed=seed, parents=parents, blocks=tuple(blocks), folder=folder)


def _parents(table: Any, where: str) -> Parents:
    check_table(Parents, table, where=where)
    if "where" in table:
        try:
            parse_condition(table["where"])
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from error
    return Parents(**table)


def _block(row: Any, earlier: Sequence[str], folder: Path, source: str) -> Block:
    if not isinstance(row, Mapping):
        raise ConfigError(f"{source}: make holds {shown(row)}; allowed: tables, written [[make]]")
    try:
        method = method_of(row.get("method"))
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from error
    name = row.get("name", method.name)
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
    check_table(
        block_model(method),
        row,
        where=where,
        missing={
            setting: f"{method.name} needs {setting} = ...; allowed: "
            f"{', '.join(generator_names())}, or a folder"
            for setting in ("generator", "autoencoder")
        },
    )
    settings = {key: value for key, value in row.items() if key not in _OWN}
    try:
        settings = dict(method.checked(settings, folder))
    except (ConfigError, SynthError) as error:
        raise type(error)(f"{where}: {error}") from error
    return Block(name=name, method=method.name, of=of, settings=settings)
