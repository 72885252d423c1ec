"""The methods by name: the files of this folder, and what installed packages add.

A file of this folder is a method when it has a `METHOD`; nothing else has to name it. The
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
    """Return the names of all methods, the built-in ones first; imports no package's method.

    Raises:
        ConfigError: Two packages add the same name, or one that assay has itself.
    """
    added = plugins.entries(GROUP)
    if taken := sorted(set(added) & set(_built_in())):
        package = plugins.package_of(added[taken[0]])
        raise ConfigError(
            f'{package} adds the method "{taken[0]}", which assay has itself; uninstall {package}'
        )
    return (*_built_in(), *added)


def method_of(name: object) -> Method[Any]:
    """Return a method by its name.

    Raises:
        ConfigError: No method is named so, or the package that adds it is broken.
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
    """Return the package that a method comes from, with its version; `assay` for built-in ones."""
    entry = plugins.entries(GROUP).get(name)
    return plugins.package_of(entry) if entry is not None else _OWN


def listed_methods() -> list[dict[str, Any]]:
    """Return name, package, description and settings of every method.

    A method that cannot be loaded has the error as its description, and no settings.
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
    """The methods of this folder: those without parents first, then by name."""
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
    """The method of a package: an instance of `Method`, or its class."""
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
            raise ConfigError(f"{where}, whose {member} is missing; give it")
    if not issubclass(loaded.settings_model, BaseModel):
        raise ConfigError(f"{where}, whose settings_model is no pydantic model; make it one")
    if own := sorted({"method", "name", "of"} & set(loaded.settings_model.model_fields)):
        raise ConfigError(f"{where}, which has a setting {own[0]}, as every block has; rename it")
    if loaded.name != name:
        raise ConfigError(f"{where}, whose name is {shown(loaded.name)}; give both the same name")
    return loaded


@functools.cache
def _instance(kind: type[Method[Any]]) -> Method[Any]:
    """One instance of a class per process: what is derived from a method is kept by it."""
    return kind()
