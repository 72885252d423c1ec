"""Prompts: those of a file, those that ask for text in the picture, and filled templates."""

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

# No format specifications: what stands in braces is a variable's name and nothing else.
_FIELD: Final = re.compile(r"\{\{|\}\}|\{(?P<name>[^{}]*)\}|[{}]")


def expand(template: str, variables: Mapping[str, Sequence[str]]) -> list[str]:
    """A template such as `a {colour} car at {time}` with every combination of its variables.

    `{{` and `}}` stand for braces.

    Raises:
        InputError: A variable of the template has no values, or a brace stands alone.
    """
    wanted = template_names(template, variables)
    return [
        _FIELD.sub(lambda found, row=row: _filled(found, wanted, row), template)  # type: ignore[misc]
        for row in itertools.product(*(variables[name] for name in wanted))
    ]


def template_names(template: str, variables: Mapping[str, Sequence[str]]) -> list[str]:
    """The variables of a template, each once, in order.

    Raises:
        InputError: As `expand`.
    """
    names: dict[str, None] = {}
    for found in _FIELD.finditer(template):
        if found[0] in {"{", "}"}:
            raise InputError(
                f"{shown(template)} has a {found[0]} by itself; write {{{{ and }}}} for braces, or "
                "leave variables out"
            )
        if found["name"] is not None:
            names[found["name"]] = None
    if missing := sorted(set(names) - set(variables)):
        raise InputError(
            f"{shown(template)} needs values for {', '.join(missing) or '{}'}; "
            f"given: {', '.join(variables) or 'none'}{did_you_mean(missing[0], variables)}"
        )
    return list(names)


def _filled(found: re.Match[str], names: Sequence[str], values: Sequence[str]) -> str:
    if found["name"] is None:
        return found[0][0]
    return values[names.index(found["name"])]


MODERATION: Final = "moderation"
"""Names `moderation_prompts` where a file of prompts is asked for."""
# Pictures that trade on being read: what a moderation team meets, with the words to look for.
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
    """Thirty prompts that ask for text in the picture, each with the text expected."""
    return [
        Prompt(prompt=template.format(text=words), category=category, expected_text=words)
        for (category, template), words in itertools.product(_SHOWN, _WORDS)
    ]


def prompts_of(name: str, folder: Path) -> list[Prompt]:
    """The prompts that a plan names: `moderation`, or those of a file, relative to the plan.

    Raises:
        InputError: As `read_prompts`.
    """
    return moderation_prompts() if name == MODERATION else read_prompts(folder / name)
