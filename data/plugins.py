"""What installed packages add to assay: entry points, by group and name.

A package declares an object under one of `GROUPS` in its metadata. Listing the entries imports
nothing; an object is imported when a run names it. Each door says what it takes: a detector, a
generator, a synthesis method, a source.
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
    """Return the entries of a group by name, sorted by name; none when no package adds one.

    Installed packages are looked through once per process and group.

    Args:
        group: One of `GROUPS`.

    Raises:
        ConfigError: Two packages add the same name.
    """
    if group not in GROUPS:
        raise ValueError(f"{group} is no group of assay; there are {', '.join(GROUPS)}")
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
    """Import the object that an installed package adds, once per process.

    Args:
        group: One of `GROUPS`.
        name: Name of the entry, one of `entries(group)`.

    Raises:
        ConfigError: No package adds the name, or importing the object fails.
    """
    known = entries(group)
    if name not in known:
        raise ConfigError(
            f'no installed package adds "{name}" to {group}; there are:'
            f" {', '.join(known) or 'none'}; install the package that adds it"
        )
    entry = known[name]
    try:
        return entry.load()
    except Exception as error:  # importing a package runs any code
        raise ConfigError(
            f'{package_of(entry)} adds "{name}" to {group}, and {entry.value} cannot be imported:'
            f" {type(error).__name__}: {brief(error)}; update the package or uninstall it"
        ) from error


def package_of(entry: EntryPoint) -> str:
    """Return name and version of the package that an entry comes from."""
    if entry.dist is None:
        return f"the package of {entry.module}"
    return f"{entry.dist.name} {entry.dist.version}"


def forget() -> None:
    """Drop what is known of installed packages: one was installed while this process runs."""
    entries.cache_clear()
    load.cache_clear()
