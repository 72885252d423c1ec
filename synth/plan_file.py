"""The plan file: TOML, read and checked before anything is loaded.

Every `[[make]]` names a method; a setting that is a list is swept, one picture a value and parent.
"""

from __future__ import annotations

import itertools
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ..data.errors import ConfigError
from .laundering import VERSION, conditions
from .masks import RULES
from .plan import NOT_SWEPT, Block, Parents, Plan
from .presets import PRESETS

CHOICES: Final = ("real", "fake", "any", "near")
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")

_NUMBER: Final = (int, float)
_PICTURE: Final[dict[str, type | tuple[type, ...]]] = {
    "generator": str,
    "prompt": str,
    "negative_prompt": str,
    "steps": int,
    "guidance": _NUMBER,
    "lora": str,
    "clip": str,
}
_ATTACK: Final[dict[str, type | tuple[type, ...]]] = {
    "steps": int,
    "detector": str,
    "aim": str,
    "survive_files": bool,
}
METHODS: Final[dict[str, dict[str, type | tuple[type, ...]]]] = {
    "text": _PICTURE
    | {
        "prompts": str,
        "variables": dict,
        "times": int,
        "width": int,
        "height": int,
        "ocr": bool,
    },
    "image-to-image": _PICTURE | {"strength": _NUMBER},
    "inpaint": _PICTURE | {"strength": _NUMBER, "mask": str},
    "control": _PICTURE | {"controlnet": str, "control": str, "controls": str},
    "aligned": {"autoencoder": str, "dct_blend": _NUMBER},
    "launder": {"condition": str},
    "attack": _ATTACK | {"kind": str, "epsilon": _NUMBER},
    "latent-attack": _ATTACK | {"autoencoder": str, "box": _NUMBER},
}
"""What each method may be told, and of which type."""
AIMS: Final = {"lower": -1, "raise": 1}
"""Which way an attack moves the logit."""
DEPTH_IS_GIVEN: Final = (
    "depth is not estimated here; give depth pictures: controls = FOLDER, with IMAGE_ID.png"
)
WORDS: Final[dict[str, tuple[str, ...]]] = {
    "aim": tuple(AIMS),
    "control": ("canny", "depth", "blur"),
    "kind": ("pgd", "apgd"),
}
"""Settings that are one of a few words."""
RANGES: Final[dict[str, tuple[float, float]]] = {
    "box": (0.001, 10),
    "dct_blend": (0, 1),
    "epsilon": (0.01, 64),
    "guidance": (0, 100),
    "steps": (1, 1000),
    "strength": (0.01, 1),
    "times": (1, 1_000_000),
}
"""Least and greatest of settings that are numbers, so that a slip is told before the work."""
REQUIRED: Final = {
    "text": "generator",
    "image-to-image": "generator",
    "inpaint": "generator",
    "control": "generator",
    "aligned": "autoencoder",
    "latent-attack": "autoencoder",
}
"""What a method cannot do without."""


def read_plan(path: Path) -> Plan:
    """The plan of a TOML file.

    Raises:
        ConfigError: It cannot be read, or something in it is unknown or out of place.
    """
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
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
    if not isinstance(seed, int) or isinstance(seed, bool):
        raise ConfigError(f"{source}: seed is {seed!r}; allowed: a whole number")
    asked = told.get("parents", {})
    _only(asked, ("choose", "n", "where"), f"{source}, [parents]")
    parents = Parents(**asked)
    if parents.choose not in CHOICES or not isinstance(parents.n, int) or parents.n < 0:
        raise ConfigError(
            f"{source}, [parents]: choose = {parents.choose!r}, n = {parents.n!r}; allowed: "
            f"{', '.join(CHOICES)}, and a number from 0"
        )
    rows = told.get("make")
    if not isinstance(rows, list) or not rows:
        raise ConfigError(f"{source} makes nothing; add a [[make]] with a method")
    blocks: list[Block] = []
    for row in rows:
        blocks.append(_block(row, [block.name for block in blocks], source))
        _check_places(blocks[-1], folder, f"{source}, [[make]] {blocks[-1].name}")
    return Plan(seed=seed, parents=parents, blocks=tuple(blocks), folder=folder)


def _block(row: Mapping[str, Any], earlier: Sequence[str], source: str) -> Block:
    method = row.get("method")
    if method not in METHODS:
        raise ConfigError(f"{source}: no method is named {method!r}; allowed: {', '.join(METHODS)}")
    name = row.get("name", method)
    where = f"{source}, [[make]] {name}"
    if not isinstance(name, str) or _NAME.fullmatch(name) is None or name == "parents":
        raise ConfigError(f"{where}: the name must be of a-z, 0-9, dots and hyphens")
    if name in earlier:
        raise ConfigError(f"{where}: that name is taken; give it another with name = ...")
    of = row.get("of", "parents")
    if of not in {"parents", *earlier}:
        raise ConfigError(
            f"{where}: of = {of!r}; allowed: parents, or an earlier block "
            f"({', '.join(earlier) or 'there is none'})"
        )
    allowed = METHODS[method]
    settings = {key: value for key, value in row.items() if key not in {"method", "name", "of"}}
    _only(settings, tuple(allowed), where)
    for key, value in settings.items():
        for one in value if isinstance(value, list) and key not in NOT_SWEPT else [value]:
            kind = allowed[key]
            if not isinstance(one, kind) or (isinstance(one, bool) and kind is not bool):
                raise ConfigError(f"{where}: {key} = {one!r} is not {_typed(kind)}")
            _check_value(key, one, where)
    if (needed := REQUIRED.get(method)) and needed not in settings:
        raise ConfigError(
            f"{where}: {method} needs {needed} = ...; allowed: {', '.join(PRESETS)}, or a folder"
        )
    if method == "launder":
        names = settings.get("condition", [])
        chosen = conditions(tuple([names] if isinstance(names, str) else names))
        settings["condition"] = [f"{VERSION}/{one.name}" for one in chosen]
    for name, values in settings.get("variables", {}).items():
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise ConfigError(f"{where}: variables.{name} = {values!r} is not a list of texts")
    if method == "control" and not {"controlnet", "control"} <= settings.keys():
        raise ConfigError(f"{where}: control needs controlnet = FOLDER and control = canny, ...")
    if method == "text" and not {"prompt", "prompts"} & settings.keys():
        raise ConfigError(f"{where}: text needs prompt = ... or prompts = FILE")
    _check_sizes(settings)
    return Block(name=name, method=method, of=of, settings=settings)


def _check_value(key: str, value: Any, where: str) -> None:
    words = WORDS.get(key)
    if words is not None and value not in words:
        raise ConfigError(f"{where}: {key} = {value!r}; allowed: {', '.join(words)}")
    if key in RANGES:
        least, greatest = RANGES[key]
        # Not "outside": what is no number compares as neither.
        if not least <= value <= greatest:
            raise ConfigError(f"{where}: {key} = {value!r}; allowed: {least:g} to {greatest:,g}")


def _check_places(block: Block, folder: Path, where: str) -> None:
    """Files and folders that are not there are told before the work, not once a picture."""
    from .prompts import MODERATION

    for told in block.sweep():
        prompts, mask, controls = (told.get(name) for name in ("prompts", "mask", "controls"))
        if prompts not in {None, MODERATION} and not (folder / str(prompts)).is_file():
            raise ConfigError(
                f"{where}: prompts = {prompts!r} is no file; allowed: {MODERATION}, or a file "
                f"(looked for {folder / str(prompts)})"
            )
        if mask is not None and mask not in RULES and not Path(str(mask)).is_dir():
            raise ConfigError(
                f"{where}: mask = {mask!r}; allowed: {', '.join(RULES)}, or a folder of masks"
            )
        if controls is not None and not Path(str(controls)).is_dir():
            raise ConfigError(f"{where}: controls = {controls!r} is no folder")
        if told.get("control") == "depth" and controls is None:
            raise ConfigError(f"{where}: {DEPTH_IS_GIVEN}")


def _check_sizes(settings: Mapping[str, Any]) -> None:
    """Sizes that a registered generator cannot make are refused before anything is loaded."""

    def listed(name: str) -> list[Any]:
        value = settings.get(name)
        return value if isinstance(value, list) else [value]

    for name, width, height in itertools.product(*map(listed, ("generator", "width", "height"))):
        if name in PRESETS:
            preset = PRESETS[name]
            preset.check_size(width or preset.default_px, height or preset.default_px)


def _only(told: Mapping[str, Any], allowed: Sequence[str], where: str) -> None:
    if not isinstance(told, Mapping):
        raise ConfigError(f"{where} is {told!r}; allowed: a table")
    if unknown := sorted(set(told) - set(allowed)):
        raise ConfigError(f"{where}: unknown {', '.join(unknown)}; allowed: {', '.join(allowed)}")


def _typed(kind: type | tuple[type, ...]) -> str:
    words: dict[type, str] = {
        str: "text",
        int: "a whole number",
        float: "a number",
        bool: "true or false",
        dict: "a table",
    }
    return words[kind] if isinstance(kind, type) else "a number"
