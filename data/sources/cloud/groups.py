"""Objects of a listing with their sidecars, which stand next to them in the order of keys."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from ..buckets.bucket import ObjectInfo

# Names such as `IMG.0001.jpg` after a file `IMG.bak` form one group of any size.
_MOST: Final = 10_000


def groups(infos: Iterable[ObjectInfo]) -> Iterator[list[ObjectInfo]]:
    """Yield the objects of a sorted listing, those with a common stem together.

    The first object of a stem decides: `a/001.cls`, `a/001.jpg` and `a/001.jpg.json` are a group.
    Keys with a common beginning are neighbours, so that one group is kept in memory at a time.
    """
    group: list[ObjectInfo] = []
    start = ""
    for info in infos:
        if group and (not info.key.startswith(start) or len(group) >= _MOST):
            yield group
            group = []
        if not group:
            start = f"{_stem(info.key)}."
        group.append(info)
    if group:
        yield group


def _stem(key: str) -> str:
    folder, slash, name = key.rpartition("/")
    stem, dot, _ = name.rpartition(".")
    return folder + slash + (stem if dot and stem else name)
