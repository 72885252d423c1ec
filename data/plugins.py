"""Plugins: entry points of installed packages, by group and name.

A package declares an object under one of `GROUPS` in its metadata: a detector, a generator, a
synthesis method or a source. Listing entries imports nothing; an object is imported when a run
names it.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Final

from .errors import ConfigError, brief

GROUPS: Final = ("assay.detectors", "assay.generators", "assay.methods", "assay.sources")


@functools.cache
def entries(group: str) -> Mapping[str, EntryPoint]:
    """Return the entry points of a group by name, sorted by name.

    Installed packages are searched once per process and group.

    Args:
        group: One of `GROUPS`.

    Raises:
        ConfigError: Two packages add the same name.
        ValueError: `group` is not one of `GROUPS`.
    """
    if group not in GROUPS:
        raise ValueError(f"{group} is not a group of assay; allowed: {', '.join(GROUPS)}")
    named: dict[str, EntryPoint] = {}
    for entry in sorted(entry_points(group=group), key=lambda entry: (entry.name, entry.value)):
        other = named.setdefault(entry.name, entry)
        if other is not entry:
            raise ConfigError(
                f'{package_of(other)} and {package_of(entry)} both add "{entry.name}" to {group};'
                " uninstall one of them"
            )
    return MappingProxyType(named)


@functools.cache
def load(group: str, name: str) -> object:
    """Import the object of an entry point, once per process.

    Args:
        group: One of `GROUPS`.
        name: Name of the entry point, one of `entries(group)`.

    Raises:
        ConfigError: No package adds the name, or the import fails.
    """
    known = entries(group)
    if name not in known:
        raise ConfigError(
            f'no installed package adds "{name}" to {group}; available:'
            f" {', '.join(known) or 'none'}; install the package that adds it"
        )
    entry = known[name]
    try:
        return entry.load()
    except Exception as error:  # the import runs the package's code
        raise ConfigError(
            f'{package_of(entry)} adds "{name}" to {group}, but {entry.value} cannot be imported:'
            f" {type(error).__name__}: {brief(error)}; update the package or uninstall it"
        ) from error


def package_of(entry: EntryPoint) -> str:
    """Return name and version of the package that declares an entry point."""
    if entry.dist is None:
        return f"the package of {entry.module}"
    return f"{entry.dist.name} {entry.dist.version}"


def forget() -> None:
    """Clear the cached entry points, after a package was installed in a running process."""
    entries.cache_clear()
    load.cache_clear()
