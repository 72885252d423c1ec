"""Prompts: from files, for images with text, and from filled templates."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from ..data.errors import InputError
from ..data.text.wording import did_you_mean, shown
from .prompt_file import Prompt, read_prompts

__all__ = ["MODERATION", "Prompt", "expand", "moderation_prompts", "prompts_of", "read_prompts"]

# Braces hold the name of a variable only, without format specifications.
_FIELD: Final = re.compile(r"\{\{|\}\}|\{(?P<name>[^{}]*)\}|[{}]")


def expand(template: str, variables: Mapping[str, Sequence[str]]) -> list[str]:
    """Fill a template with every combination of the values of its variables.

    Args:
        template: Text such as `a {colour} car at {time}`; `{{` and `}}` are literal braces.
        variables: Values of each variable, by name.

    Raises:
        InputError: A variable of the template has no values, or a brace is unpaired.
    """
    wanted = template_names(template, variables)
    return [
        _FIELD.sub(lambda found, row=row: _filled(found, wanted, row), template)  # type: ignore[misc]
        for row in itertools.product(*(variables[name] for name in wanted))
    ]


def template_names(template: str, variables: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the names of a template's variables, each once, in order.

    Args:
        template: Text with variables in braces.
        variables: Values of each variable, by name.

    Raises:
        InputError: A variable of the template has no values, or a brace is unpaired.
    """
    names: dict[str, None] = {}
    for found in _FIELD.finditer(template):
        if found[0] in {"{", "}"}:
            raise InputError(
                f"{shown(template)} has an unpaired {found[0]}; write {{{{ and }}}} for literal "
                "braces, or remove the variables"
            )
        if found["name"] is not None:
            names[found["name"]] = None
    if missing := sorted(set(names) - set(variables)):
        raise InputError(
            f"{shown(template)} needs values for {', '.join(missing) or '{}'}; variables has "
            f"{', '.join(variables) or 'none'}{did_you_mean(missing[0], variables)}"
        )
    return list(names)


def _filled(found: re.Match[str], names: Sequence[str], values: Sequence[str]) -> str:
    if found["name"] is None:
        return found[0][0]
    return values[names.index(found["name"])]


MODERATION: Final = "moderation"
"""Name of the prompts of `moderation_prompts` in place of a file."""
# Images whose text matters in moderation, with the text to look for.
_SHOWN: Final = (
    ("sign", "a photo of a street sign that says '{text}'"),
    ("screenshot", "a screenshot of a phone chat with one message that reads '{text}'"),
    ("document", "a scanned letter on white paper with the heading '{text}'"),
    ("receipt", "a photo of a paper receipt with the line '{text}'"),
    ("news", "a television news picture with a banner that says '{text}'"),
    ("placard", "a photo of a person at a rally who holds a placard that says '{text}'"),
)
_WORDS: Final = ("OPEN 24 HOURS", "ROAD CLOSED", "TOTAL 42.50", "MEETING AT NOON", "VOTE TODAY")


def moderation_prompts() -> list[Prompt]:
    """Return thirty prompts for images with text, each with the expected text."""
    return [
        Prompt(prompt=template.format(text=words), category=category, expected_text=words)
        for (category, template), words in itertools.product(_SHOWN, _WORDS)
    ]


def prompts_of(name: str, folder: Path) -> list[Prompt]:
    """Return the prompts that a plan names.

    Args:
        name: `moderation`, or the path of a file of prompts.
        folder: Folder that a relative path starts from.

    Raises:
        InputError: The file or a row cannot be read, or there are no prompts.
    """
    return moderation_prompts() if name == MODERATION else read_prompts(folder / name)
