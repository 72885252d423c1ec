"""Generators by name: the registered ones of the SD3.5 family, and those of installed packages.

A package adds one by an entry point in the group `assay.generators`: an object with the members of
`Generator`, or a class or function without arguments that returns one. It is imported when a plan
names it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final, cast

from ...data import plugins
from ...data.errors import AssayError, ConfigError
from ...data.text.wording import shown
from .answers import reason_of
from .presets import PRESETS
from .protocol import Generator

GROUP: Final = "assay.generators"


def generator_names() -> tuple[str, ...]:
    """Return the names of all generators; plans may also name folders and hub ids.

    Raises:
        ConfigError: Two packages add the same name, or a package adds the name of a built-in one.
    """
    added = plugins.entries(GROUP)
    if taken := sorted(set(added) & set(PRESETS)):
        package = plugins.package_of(added[taken[0]])
        raise ConfigError(
            f'{package} adds the generator "{taken[0]}", which is the name of a built-in one; '
            f"uninstall {package}"
        )
    return (*PRESETS, *added)


def is_added(name: str) -> bool:
    """Return whether an installed package adds a generator of this name."""
    return name in generator_names() and name not in PRESETS


def named_from_here(name: str) -> str:
    """Return a generator's name, or the absolute path of a folder relative to the working folder.

    Args:
        name: Name, hub id or folder in the arguments of a command or a flow; paths in a plan are
            relative to the plan's folder.
    """
    is_folder = name not in generator_names() and Path(name).is_dir()
    return str(Path(name).resolve()) if is_folder else name


def added_generator(name: str) -> Generator:
    """Return the generator that an installed package adds.

    Raises:
        ConfigError: It cannot be imported or created, or is not a generator.
        AssayError: The generator's own code refuses with an error of assay.
    """
    package = plugins.package_of(plugins.entries(GROUP)[name])
    what = f'the generator "{name}" of {package}'
    loaded = plugins.load(GROUP, name)
    if isinstance(loaded, type) or (callable(loaded) and not isinstance(loaded, Generator)):
        try:
            loaded = loaded()
        except AssayError:
            raise
        except Exception as error:
            raise ConfigError(f"{what} cannot be created: {reason_of(error)}") from error
    return checked_generator(what, loaded)


def checked_generator(what: str, given: object) -> Generator:
    """Return an object as a generator, after a check of its members.

    Args:
        what: Name of the object in messages.
        given: Object of any type.

    Raises:
        ConfigError: A member is missing, or its value cannot be stored in rows and keys.
        AssayError: A member raises an error of assay.
    """
    try:
        if is_generator := isinstance(given, Generator):
            _check_members(what, given)
    except AssayError:
        raise
    except Exception as error:
        # Members may be properties with foreign code.
        raise ConfigError(f"{what} has members that fail: {reason_of(error)}") from error
    if is_generator:
        return cast("Generator", given)
    hint = (
        "wrap a function as CallableGenerator(generator_id=..., function=...)"
        if callable(given)
        else "allowed: generator_id, license_flags, check(request) and make(request)"
    )
    raise ConfigError(f"{what} is a {type(given).__name__}; {hint}")


def _check_members(what: str, given: Generator) -> None:
    """Refuse values of members that cannot be stored in rows and keys."""
    if not isinstance(given.generator_id, str) or not given.generator_id.strip():
        raise ConfigError(
            f"{what}.generator_id is {shown(given.generator_id)}; allowed: text with name and "
            "revision of the generator"
        )
    flags: object = given.license_flags
    if not isinstance(flags, (list, tuple)) or not all(isinstance(flag, str) for flag in flags):
        raise ConfigError(f"{what}.license_flags is {shown(flags)}; allowed: a list of texts")
    contents = getattr(given, "contents", None)
    try:
        json.dumps(contents)
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(
            f"{what}.contents is {shown(contents)}; allowed: plain values, as JSON has them"
        ) from error
