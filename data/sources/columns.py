"""Choice of the columns with images, labels and domains: by name in any case, and by type."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Final

from ..errors import InputError
from .items import SourceOptions, column_of

# Image columns of known data sets, the most likely first.
IMAGE_COLUMNS: Final = (
    *("image", "img", "image_bytes", "bytes", "jpg", "jpeg", "png", "webp", "image_base64"),
    *("base64", "file_name", "filename", "file", "path", "filepath", "file_path", "image_path"),
    *("url", "image_url", "uri", "src", "images", "image_urls", "urls", "paths", "file_names"),
)
# Common names, accepted for columns of bytes only.
BYTE_COLUMNS: Final = ("content", "data", "picture", "photo", "body")
_PUNCTUATION: Final = re.compile(r"[\s_-]+")
_NUMBER: Final = re.compile(r"\s*[-+]?[0-9]+(?:[.,][0-9]*)?\s*")


def choose_column(
    names: Sequence[str],
    requested: str | None,
    where: str,
    *,
    holds: Callable[[str], bool] | None = None,
) -> str:
    """Return the column with images: the requested one, or the most likely one.

    Args:
        names: Names of the columns.
        requested: Requested name; None to detect the column.
        where: Name of the table, for messages.
        holds: Function that states whether the values of a column may be images; None to choose
            by name alone.

    Raises:
        InputError: There is no such column, or two names differ by case only.
    """
    if requested is not None:
        return column_named(names, requested, where)
    likely = _likely(tuple(names))
    for found in likely:
        if holds is None or any(map(holds, found)):
            return _only(found, where)
    if likely:
        return _only(likely[0], where)
    raise InputError(
        f"{where} has no column that looks like images; it has: {_listed(names)}; "
        "name the column with image_column (--image-column); the first line of a CSV or TSV"
        " file must be its header"
    )


def column_named(names: Sequence[str], requested: str, where: str) -> str:
    """Return the requested column; an exact match takes precedence over one in another case.

    Raises:
        InputError: There is no such column, or two names differ by case only.
    """
    if names.count(requested) == 1:
        return requested
    found = _named(names, requested)
    if not found:
        raise InputError(f'{where} has no column "{requested}"; it has: {_listed(names)}')
    return _only(found, where)


def tag_columns(
    names: Sequence[str], options: SourceOptions, where: str
) -> tuple[str | None, str | None]:
    """Return the columns of labels and of domains; None for a missing one.

    Raises:
        InputError: A requested column is missing, or two names differ by case only.
    """
    found: list[str | None] = []
    for requested, default in ((options.label_from, "label"), (options.domain_from, "domain")):
        name = column_of(requested)
        if name is not None:
            found.append(column_named(names, name, where))
        else:
            likely = _named(names, default) if requested is None else []
            found.append(_only(likely, where) if likely else None)
    return found[0], found[1]


def tags_in(
    row: Mapping[str, object], columns: tuple[str | None, str | None], options: SourceOptions
) -> dict[str, object]:
    """Return label and domain of a row, under the keys that `tags_of` reads."""
    keys = (column_of(options.label_from) or "label", column_of(options.domain_from) or "domain")
    return {
        key: row[column]
        for key, column in zip(keys, columns, strict=True)
        if column is not None and column in row
    }


def may_hold_image(value: object) -> bool:
    """Return whether a cell may be a path, a URL, bytes or a list of them; False for a number."""
    if isinstance(value, str):
        return bool(value.strip()) and _NUMBER.fullmatch(value[:64]) is None
    return isinstance(value, bytes | bytearray | Mapping | list)


@lru_cache(maxsize=1024)
def _likely(names: tuple[str, ...]) -> list[list[str]]:
    """Return candidate image columns by name, grouped with names that differ by case only.

    If there is none, names are compared without blanks, hyphens and underscores.
    """
    found = [named for name in IMAGE_COLUMNS if (named := _named(names, name))]
    if found:
        return found
    plain = {name: _PUNCTUATION.sub("", name.lower()) for name in names}
    wanted = dict.fromkeys(name.replace("_", "") for name in IMAGE_COLUMNS)
    return [named for name in wanted if (named := [n for n in names if plain[n] == name])]


def _named(names: Sequence[str], name: str) -> list[str]:
    wanted = name.strip().lower()
    return [given for given in names if given.strip().lower() == wanted]


def _only(found: Sequence[str], where: str) -> str:
    if len(found) > 1:
        shown = ", ".join(f'"{name}"' for name in found)
        raise InputError(
            f"{where} has columns whose names differ at most by case: {shown}; rename one of them"
        )
    return found[0]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:20]) + (", ..." if len(names) > 20 else "") if names else "none"
