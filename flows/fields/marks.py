"""Marks on the fields of `flows.request` that pydantic does not provide."""

from __future__ import annotations

from dataclasses import dataclass
from types import NoneType
from typing import Annotated, Any, Final, Literal, TypeVar, get_args, get_origin

from pydantic.fields import FieldInfo

Mark = TypeVar("Mark")

NOT_KEPT: Final = frozenset({"sources"})
"""Settings that variables and files cannot hold, since they belong to one run."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """Description of the allowed values, if the type does not give it."""

    words: str


@dataclass(frozen=True, slots=True)
class IsPlace:
    """Mark of a setting that names files or folders, relative to where it is written."""

    or_name: bool = False
    """Whether it may be a registered name; a folder of that name takes precedence."""


@dataclass(frozen=True, slots=True)
class ByCaller:
    """Mark of a setting that runs of a served deployment may change; see `flows.served`."""


@dataclass(frozen=True, slots=True)
class OptionName:
    """Name of the command's option, if it differs from the field's."""

    flag: str


def mark_of(field: FieldInfo, kind: type[Mark]) -> Mark | None:
    """Return a field's mark of the given class, or None."""
    return next((mark for mark in field.metadata if isinstance(mark, kind)), None)


def option_of(name: str, field: FieldInfo) -> str:
    """Return the command's option for a field, such as `--label-from`."""
    mark = mark_of(field, OptionName)
    return mark.flag if mark else "--" + name.replace("_", "-")


def kind_of(field: FieldInfo) -> tuple[type, bool]:
    """Return the plain type of a field (str, int, float, bool, tuple), and if None is allowed."""
    parts = get_args(field.annotation)
    or_none = NoneType in parts
    return _plain(parts[0] if or_none else field.annotation), or_none


def _plain(annotation: Any) -> type:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _plain(get_args(annotation)[0])
    if origin is Literal:
        return str
    plain: type = origin or annotation
    return plain
