"""Marks on the fields of `flows.request` that pydantic has no word for."""

from __future__ import annotations

from dataclasses import dataclass
from types import NoneType
from typing import Annotated, Any, Final, Literal, TypeVar, get_args, get_origin

from pydantic.fields import FieldInfo

Mark = TypeVar("Mark")

NOT_KEPT: Final = frozenset({"sources"})
"""Settings that variables and files do not keep: what is asked of a run, not how it is done."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """What messages say is allowed, where the type does not say it well."""

    words: str


@dataclass(frozen=True, slots=True)
class IsPlace:
    """The setting names files or folders: relative ones depend on where they are written."""

    or_name: bool = False
    """Whether it is a name that is known without a folder, unless there is a folder so called."""


@dataclass(frozen=True, slots=True)
class ByCaller:
    """Whoever starts a run of a served deployment may change the setting, see `flows.served`."""


@dataclass(frozen=True, slots=True)
class OptionName:
    """Name of the command's option, where it is not the field's."""

    flag: str


def mark_of(field: FieldInfo, kind: type[Mark]) -> Mark | None:
    """Return the mark of a kind that a field carries, or None."""
    return next((mark for mark in field.metadata if isinstance(mark, kind)), None)


def option_of(name: str, field: FieldInfo) -> str:
    """Return the command's option for a field, such as `--label-from`."""
    mark = mark_of(field, OptionName)
    return mark.flag if mark else "--" + name.replace("_", "-")


def kind_of(field: FieldInfo) -> tuple[type, bool]:
    """Return the plain type of a field (str, int, float, bool, tuple) and whether None is one."""
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
