"""Methods by name: those of this folder, and those of installed packages.

A module of this folder with a `METHOD` is a built-in method and needs no other registration. The
method of a package is imported when a plan names it.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from pydantic import BaseModel

from ...data import plugins
from ...data.errors import ConfigError
from ...data.text.wording import did_you_mean, shown
from .protocol import Method

GROUP: Final = "assay.methods"
_OWN: Final = "assay"


def method_names() -> tuple[str, ...]:
    """Return the names of all methods, the built-in ones first, without importing packages.

    Raises:
        ConfigError: Two packages add the same name, or a package adds the name of a built-in one.
    """
    added = plugins.entries(GROUP)
    if taken := sorted(set(added) & set(_built_in())):
        package = plugins.package_of(added[taken[0]])
        raise ConfigError(
            f'{package} adds the method "{taken[0]}", which is the name of a built-in one; '
            f"uninstall {package}"
        )
    return (*_built_in(), *added)


def method_of(name: object) -> Method[Any]:
    """Return a method by its name.

    Args:
        name: Name of the method; other values are refused.

    Raises:
        ConfigError: There is no such method, or the package that adds it is broken.
    """
    if isinstance(name, str) and name not in plugins.entries(GROUP) and name in _built_in():
        return _built_in()[name]
    names = method_names()
    if not isinstance(name, str) or name not in names:
        raise ConfigError(
            f"no method is named {shown(name)}; allowed: {', '.join(names)}"
            f"{did_you_mean(name, names)}"
        )
    return _added(name)


def package_of(name: str) -> str:
    """Return the package of a method, with its version; `assay` for built-in ones."""
    entry = plugins.entries(GROUP).get(name)
    return plugins.package_of(entry) if entry is not None else _OWN


def listed_methods() -> list[dict[str, Any]]:
    """Return name, package, description and settings of every method.

    A method that cannot be loaded has the error as its description, and no settings.

    Raises:
        ConfigError: Two packages add the same name, or a package adds the name of a built-in one.
    """
    rows = []
    for name in method_names():
        row: dict[str, Any] = {"name": name, "package": package_of(name)}
        try:
            method = method_of(name)
        except ConfigError as error:
            rows.append(row | {"description": f"cannot be used: {error}", "settings": []})
        else:
            settings = list(method.settings_model.model_fields)
            rows.append(row | {"description": method.description, "settings": settings})
    return rows


@functools.cache
def _built_in() -> Mapping[str, Method[Any]]:
    """Return the methods of this folder: those without parents first, then by name."""
    folder = str(Path(__file__).parent)
    modules = [
        importlib.import_module(f".{found.name}", __package__)
        for found in pkgutil.iter_modules([folder])
    ]
    methods: list[Method[Any]] = [
        module.METHOD for module in modules if isinstance(getattr(module, "METHOD", None), Method)
    ]
    methods.sort(key=lambda method: (method.uses_parent, method.name))
    return MappingProxyType({method.name: method for method in methods})


def _added(name: str) -> Method[Any]:
    """Load the method of a package: an instance of `Method`, or its class."""
    loaded = plugins.load(GROUP, name)
    if isinstance(loaded, type) and issubclass(loaded, Method):
        lacking = sorted(loaded.__abstractmethods__)
        loaded = _instance(loaded) if not lacking else f"a class without {', '.join(lacking)}"
    where = f'{package_of(name)} adds "{name}" to {GROUP}'
    if not isinstance(loaded, Method):
        raise ConfigError(
            f"{where}, which is {shown(loaded)}; allowed: a subclass of "
            "assay.synth.methods.protocol.Method, or an instance"
        )
    for member, kind in (("name", str), ("description", str), ("settings_model", type)):
        if not isinstance(getattr(loaded, member, None), kind):
            raise ConfigError(f"{where}, whose {member} is missing; define it")
    if not issubclass(loaded.settings_model, BaseModel):
        raise ConfigError(
            f"{where}, whose settings_model is not a pydantic model; derive it from one"
        )
    if own := sorted({"method", "name", "of"} & set(loaded.settings_model.model_fields)):
        raise ConfigError(
            f"{where}, whose setting {own[0]} is also a field of every block; rename it"
        )
    if loaded.name != name:
        raise ConfigError(f"{where}, whose name is {shown(loaded.name)}; use the same name")
    return loaded


@functools.cache
def _instance(kind: type[Method[Any]]) -> Method[Any]:
    """Create one instance of a class per process, since caches are keyed by the instance."""
    return kind()
