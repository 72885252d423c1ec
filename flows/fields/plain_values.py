"""Conversion of Python values to the plain values of settings: text, numbers, tuples of text."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Final

from ...data.errors import ConfigError

_ALLOWED: Final[Mapping[type, str]] = {
    str: "text or a path",
    tuple: "text, a path, or a list of these",
    bool: "True or False",
    int: "a whole number",
    float: "a number",
}


def plain_value(name: str, kind: type, given: object, *, or_none: bool) -> object:
    """Return a setting's value in its declared type.

    Args:
        name: Name of the setting, for the message.
        kind: Declared type: text, a tuple of texts, a boolean or a number.
        given: Value of that type, a path for text, or a single text for a tuple.
        or_none: Whether None is allowed.

    Raises:
        TypeError: The value has another type. The message names types only, since a frame or an
            array would fill the screen.
        ConfigError: The text contains a NUL character.
    """
    if given is None and or_none:
        return None
    if kind is str and (text := _text(given)) is not None:
        return text
    if kind is tuple:
        several = [given] if isinstance(given, str | os.PathLike) else given
        if isinstance(several, Sequence | set | frozenset) and not isinstance(several, bytes):
            texts = [_text(one) for one in several]
            if None not in texts:
                return tuple(text for text in texts if text is not None)
    if kind is bool and isinstance(given, bool):
        return given
    if kind is int and isinstance(given, int) and not isinstance(given, bool):
        return given
    if kind is float and isinstance(given, int | float) and not isinstance(given, bool):
        return float(given)
    allowed = _ALLOWED[kind]
    if or_none:
        allowed = "text, a path or None" if kind is str else f"{allowed} or None"
    raise TypeError(f"{name} is {type_name(given)}; allowed: {allowed}")


def source_text(place: int, given: object) -> str:
    """Return a source as text.

    Args:
        place: Number of the argument, from 1.
        given: Text or a path.

    Raises:
        TypeError: The value is neither; the message says how to pass images held in memory.
    """
    text = _text(given)
    if text is not None:
        return text
    seen = f"source {place} is {type_name(given)}"
    allowed = "allowed: paths, globs and URLs, as text or pathlib.Path"
    if isinstance(given, Sequence | set | frozenset) and not isinstance(given, bytes):
        if all(_text(one) is not None for one in given):
            raise TypeError(f"{seen}; {allowed}, one per argument: assay.moderate(*sources)")
        seen += f" of {type_name(next(one for one in given if _text(one) is None))}"
    raise TypeError(
        f"{seen}; {allowed}. Images, arrays and frames in memory are not accepted; save them to a"
        " folder or a Parquet file and pass its path"
    )


def _text(given: object) -> str | None:
    if isinstance(given, os.PathLike):
        given = os.fspath(given)
    if isinstance(given, str) and "\0" in given:
        raise ConfigError(f"{given[:80]!a} contains a NUL character, which no setting may contain")
    return given if isinstance(given, str) else None


def type_name(given: object) -> str:
    """Return the type of a value with an article, such as "a numpy.ndarray"."""
    if given is None:
        return "None"
    kind = type(given)
    module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    name = f"{module}{kind.__qualname__}"
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
