"""Signature and docstring of a flow, from which Prefect draws its form and checks parameters."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, BeforeValidator, Field
from pydantic.fields import FieldInfo
from pydantic.json_schema import SkipJsonSchema

from ..fields.marks import ByCaller, kind_of, mark_of

Flow = TypeVar("Flow", bound=Callable[..., Any])

# A property of the machine that runs the flow; hidden in the form, allowed in deployments.
_LEFT_OUT: Final = frozenset({"n_workers"})
# What every run is about; it heads the form.
_FIRST: Final = ("lake", "detector", "policy")
_hidden: Any = SkipJsonSchema  # subscripted with types that are known at run time only


def with_form(model: type[BaseModel]) -> Callable[[Flow], Flow]:
    """Return a decorator that replaces a function's `**settings` by the settings of a model.

    Signature and docstring are changed. A parameter that has the name of a setting becomes that
    setting, and is required.

    Args:
        model: Model that supplies the settings.
    """

    def decorate(function: Flow) -> Flow:
        fields = model.model_fields
        own = [
            _parameter(name, fields[name], is_required=True) if name in fields else one
            for name, one in inspect.signature(function, eval_str=True).parameters.items()
            if one.kind is not inspect.Parameter.VAR_KEYWORD
        ]
        first = [one for one in own if one.default is inspect.Parameter.empty]
        rest = [one for one in own if one.default is not inspect.Parameter.empty]
        names = [name for name in _by_use(fields) if name not in {one.name for one in own}]
        given = [_parameter(name, fields[name], is_required=False) for name in names]
        signature = inspect.Signature(
            [
                one.replace(kind=inspect.Parameter.POSITIONAL_OR_KEYWORD)
                for one in (*first, *given, *rest)
            ]
        )
        function.__signature__ = signature  # type: ignore[attr-defined]
        function.__doc__ = _documented(inspect.getdoc(function) or "", fields)
        return function

    return decorate


def _by_use(fields: Mapping[str, FieldInfo]) -> list[str]:
    """Return the names of settings in the order of the form: what changes from run to run first."""

    def rank(name: str) -> int:
        if name in _FIRST:
            return _FIRST.index(name)
        return len(_FIRST) + (mark_of(fields[name], ByCaller) is None)

    return sorted(fields, key=rank)


def _parameter(name: str, field: FieldInfo, *, is_required: bool) -> inspect.Parameter:
    """Return a setting as a parameter of JSON types, with its range."""
    kind, _ = kind_of(field)
    default = list(field.default) if isinstance(field.default, tuple) else field.default
    plain = Annotated[list[str], BeforeValidator(_no_list)] if kind is tuple else field.annotation
    if name == "lake":
        plain, default = str | None, None
    limits = [mark for mark in field.metadata if type(mark).__module__ == "annotated_types"]
    if isinstance(field.json_schema_extra, dict):
        limits.append(Field(json_schema_extra=field.json_schema_extra))
    annotation: Any = Annotated[(plain, *limits)] if limits else plain
    return inspect.Parameter(
        name,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        annotation=_hidden[annotation] if name in _LEFT_OUT else annotation,
        default=inspect.Parameter.empty if is_required else default,
    )


def _documented(doc: str, fields: Mapping[str, FieldInfo]) -> str:
    """Return a docstring that lists the settings instead of `**settings`."""
    texts = {name: f"    {name}: {_described(name, field)}" for name, field in fields.items()}
    lines: list[str] = []
    for line in doc.splitlines():
        name = line.strip().partition(":")[0]
        if line.startswith("    **settings:"):
            lines += texts.values()
        else:
            lines.append(texts.pop(name, line))
    return "\n".join(lines)


def _described(name: str, field: FieldInfo) -> str:
    text = str(field.description)
    return f"{text[:-1]} [default: that of the worker]." if name == "lake" else text


def _no_list(given: object) -> object:
    """Return an empty list for None, which older deployments hold for no patterns."""
    return [] if given is None else given
