"""Signatures and docstrings of functions that take settings as keywords."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

from ..fields.refusals import unknown_setting
from ..request import Request
from ..settings.describe import help_of


def show_settings(function: Callable[..., Any], keywords: type) -> None:
    """Show all settings instead of `**settings` in a function's signature and docstring.

    Args:
        function: Function, or class, whose keywords are those of a class of `settings.faces`.
        keywords: Class of the keywords.
    """
    own = inspect.signature(function)
    kinds = get_type_hints(keywords)
    settings = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            annotation=kinds[name],
            default=Request.model_fields[name].default,
        )
        for name in kinds
    ]
    shown = [one for one in own.parameters.values() if one.kind is not one.VAR_KEYWORD]
    function.__signature__ = own.replace(  # type: ignore[attr-defined]
        parameters=[*shown, *settings]
    )
    lines = [f"    {name}: {help_of(name, Request.model_fields[name])}" for name in kinds]
    function.__doc__ = "\n".join(
        [inspect.cleandoc(function.__doc__ or ""), "", "Settings:", *lines]
    )


def require_known(settings: dict[str, Any], keywords: type) -> None:
    """Refuse a setting that is not among the keywords.

    Raises:
        ConfigError: A setting does not exist there; the message lists those that do.
    """
    known = get_type_hints(keywords)
    for name in settings:
        if name not in known:
            raise unknown_setting(name, known)
