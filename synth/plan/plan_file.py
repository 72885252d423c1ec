"""The plan file: TOML, read and checked before anything is loaded.

Every `[[make]]` names a method; a list as a setting is swept, one image per value and parent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, get_args

from pydantic.fields import FieldInfo

from ...data.errors import ConfigError, SynthError
from ...data.text.wording import did_you_mean, shown
from ...data.toml_file import parse_toml, read_toml
from ..generators.registry import generator_names
from ..methods.protocol import Method
from ..methods.registry import method_of
from .models import BLOCK_NAME, MAX_SEED, block_model
from .parent_condition import parse_condition
from .plan import Block, Parents, Plan
from .tables import check_table, named

_NAME: Final = re.compile(BLOCK_NAME)
_HEADER: Final = re.compile(r"^[ \t]*\[\[[ \t]*make[ \t]*\]\]", re.MULTILINE)
_OWN: Final = ("method", "name", "of")


def read_plan(path: Path) -> Plan:
    """Read and check a plan file.

    Args:
        path: TOML file.

    Raises:
        ConfigError: The file cannot be read, or a name or value in it is not allowed.
        SynthError: A generator does not support a size, or a condition of `launder` is unknown.
    """
    try:
        values = read_toml(path)
        lines = _block_lines(path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read as a plan: {error}") from error
    return plan_of_dict(values, folder=path.parent, source=str(path), block_lines=lines)


def plan_of_text(text: str, *, folder: Path, source: str, first_line: int = 1) -> Plan:
    """Read and check the text of a plan file.

    Args:
        text: TOML.
        folder: Folder that relative paths of the plan start from.
        source: Name of the text in messages.
        first_line: Number of the text's first line in messages.

    Raises:
        ConfigError: The text is not TOML, or a name or value in it is not allowed.
        SynthError: A generator does not support a size, or a condition of `launder` is unknown.
    """
    placed = "\n" * (first_line - 1) + text
    try:
        values = parse_toml(placed.encode("utf-8", "surrogatepass"))
    except ValueError as error:
        raise ConfigError(f"{source} cannot be read as a plan: {error}") from error
    return plan_of_dict(values, folder=folder, source=source, block_lines=_lines_of_blocks(placed))


def plan_of_dict(
    values: Mapping[str, Any],
    *,
    folder: Path,
    source: str = "the plan",
    block_lines: Sequence[int] = (),
) -> Plan:
    """Check plain values and return the plan.

    Args:
        values: Tables of the file by name.
        folder: Folder that relative paths of the plan start from.
        source: Name of the plan in messages.
        block_lines: Line numbers of each `[[make]]` in the file, for messages.

    Raises:
        ConfigError: A name or value is not allowed.
        SynthError: A generator does not support a size, or a condition of `launder` is unknown.
    """
    folder = Path(folder)
    names = ("seed", "parents", "make")
    if not isinstance(values, Mapping):
        raise ConfigError(f"{source} is {shown(values)}; allowed: a table")
    if unknown := sorted(str(name) for name in values if name not in names):
        raise ConfigError(
            f"{source}: unknown {', '.join(map(named, unknown))}; allowed: {', '.join(names)}"
            f"{did_you_mean(unknown[0], names)}"
        )
    seed = values.get("seed", 0)
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed <= MAX_SEED:
        raise ConfigError(
            f"{source}: seed is {shown(seed)}; allowed: a whole number from 0 to {MAX_SEED}"
        )
    rows = values.get("make")
    if isinstance(rows, Mapping):
        raise ConfigError(f"{source}: make is a table; write [[make]] for each block")
    if not isinstance(rows, (list, tuple)) or not rows:
        raise ConfigError(f"{source} has no blocks; add a [[make]] with a method")
    parents = _parents(values.get("parents", {}), f"{source}, [parents]")
    blocks: list[Block] = []
    # Blocks written inline, as `make = [{...}]`, have no line numbers.
    lines = block_lines if len(block_lines) == len(rows) else ()
    for index, row in enumerate(rows):
        place = f"{source}, line {lines[index]}" if lines else source
        blocks.append(_block(row, [block.name for block in blocks], folder, place))
    return Plan(seed=seed, parents=parents, blocks=tuple(blocks), folder=folder)


def _block_lines(path: Path) -> list[int]:
    """Find the line of each `[[make]]` of a file; none for pipes, which can be read only once."""
    if not path.is_file():
        return []
    return _lines_of_blocks(path.read_text(encoding="utf-8-sig"))


def _lines_of_blocks(text: str) -> list[int]:
    """Find the line of each `[[make]]` of a text."""
    return [text.count("\n", 0, found.start()) + 1 for found in _HEADER.finditer(text)]


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
        raise ConfigError(f"{where}: another block has this name; set another with name = ...")
    of = row.get("of", "parents")
    if not isinstance(of, str) or of not in {"parents", *earlier}:
        raise ConfigError(
            f"{where}: of = {shown(of)}; allowed: parents, or an earlier block "
            f"({', '.join(earlier) or 'none exists'})"
        )
    check_table(block_model(method), row, where=where, missing=_needed(method, row))
    settings = {key: value for key, value in row.items() if key not in _OWN}
    try:
        settings = dict(method.checked(settings, folder))
    except (ConfigError, SynthError) as error:
        raise type(error)(f"{where}: {error}") from error
    return Block(name=name, method=method.name, of=of, settings=settings)


def _needed(method: Method[Any], row: Mapping[str, Any]) -> dict[str, str]:
    """Return the message for each required setting that a block does not have."""
    fields = method.settings_model.model_fields
    lacking = [name for name, field in fields.items() if field.is_required() and name not in row]
    needed = " and ".join(f"{name} = {_example(fields[name])}" for name in lacking)
    said = dict.fromkeys(lacking, f"{method.name} needs {needed}")
    named = f"{', '.join(generator_names())}, or a folder"
    for name in {"generator", "autoencoder"} & said.keys():
        said[name] = f"{method.name} needs {name} = ...; allowed: {named}"
    return said


def _example(field: FieldInfo) -> str:
    if field.examples:
        return str(field.examples[0])
    return ", ".join(map(str, get_args(field.annotation))) or "..."
