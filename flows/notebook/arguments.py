"""Arguments of the magics, taken from the settings of a run."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from IPython.core.magic_arguments import argument, magic_arguments
from pydantic.fields import FieldInfo

from ...data.user_paths import from_home
from ..fields.marks import NOT_KEPT, kind_of, option_of
from ..fields.refusals import choices
from ..request import Request
from ..settings.describe import help_of

Magic = TypeVar("Magic", bound=Callable[..., Any])
Decorator = Callable[[Magic], Magic]


def with_arguments(*before: Decorator[Any], settings: Iterable[str]) -> Decorator[Any]:
    """Return a decorator that gives a magic its arguments, and a help text that lists them.

    Args:
        *before: Arguments of the magic's own, before the settings.
        settings: Names of settings of a run.
    """
    names = [name for name in settings if name not in NOT_KEPT]

    def decorate(magic: Magic) -> Magic:
        for name in reversed(names):
            field = Request.model_fields[name]
            magic = argument(option_of(name, field), dest=name, **_kind(name, field))(magic)
        for own in reversed(before):
            magic = own(magic)
        finished: Magic = magic_arguments()(magic)
        return finished

    return decorate


def _kind(name: str, field: FieldInfo) -> dict[str, Any]:
    """Return argparse's keywords for a setting, whose default is None."""
    kind, _ = kind_of(field)
    options: dict[str, Any] = {"help": help_of(name, field).replace("%", "%%"), "default": None}
    if kind is bool:
        return options | {"action": argparse.BooleanOptionalAction}
    if kind is tuple:
        return options | {"action": "append"}
    if names := choices(field):
        options["choices"] = names
    return options if kind is str else options | {"type": kind}


def plain(value: Any) -> Any:
    """Return a value as a shell would pass it, since IPython keeps quotes and the tilde."""
    if isinstance(value, list):
        return [plain(one) for one in value]
    if not isinstance(value, str):
        return value
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        return value[1:-1]
    return str(from_home(value)) if value.startswith("~") else value
