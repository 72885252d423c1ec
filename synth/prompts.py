"""Prompts from files: plain text, tables such as PartiPrompts, and templates with variables."""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..data.errors import InputError
from ..data.wording import did_you_mean, shown

_PROMPT: Final = ("prompt", "text", "caption")
_NEGATIVE: Final = ("negative_prompt", "negative")
_CATEGORY: Final = ("category", "challenge")
# No format specifications: what stands in braces is a variable's name and nothing else.
_FIELD: Final = re.compile(r"\{\{|\}\}|\{(?P<name>[^{}]*)\}|[{}]")
_EXPECTED: Final = ("expected_text", "shown_text")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """What a picture shall show, and what is known of it."""

    prompt: str
    negative_prompt: str = ""
    category: str = ""
    expected_text: str = ""
    """The words that must be readable in the picture."""

    def settings(self) -> dict[str, str]:
        """The fields that are not empty."""
        told = {
            "prompt": self.prompt,
            "negative_prompt": self.negative_prompt,
            "category": self.category,
            "expected_text": self.expected_text,
        }
        return {name: value for name, value in told.items() if value}


def read_prompts(path: Path) -> list[Prompt]:
    """Prompts from `.txt` (one a line), `.csv`, `.tsv`, `.jsonl` or `.parquet`.

    A table needs a column `prompt`, `text` or `caption`, in any case; `negative_prompt`,
    `category` and `expected_text` are taken where they are. PartiPrompts works as it is.

    Raises:
        InputError: The file cannot be read, or holds no prompt.
    """
    try:
        rows = list(_rows(path))
    except (OSError, UnicodeDecodeError, csv.Error, ValueError) as error:
        raise InputError(f"{path} cannot be read as prompts: {error}") from error
    prompts = [prompt for row in rows if (prompt := _prompt(row, path)).prompt]
    if not prompts:
        raise InputError(f"{path} holds no prompt; put one on each line")
    return prompts


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


def _rows(path: Path) -> Iterator[Mapping[str, Any]]:
    suffix = path.suffix.lower()
    if suffix in {".csv", ".tsv"}:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            yield from csv.DictReader(lines, delimiter="\t" if suffix == ".tsv" else ",")
    elif suffix in {".jsonl", ".ndjson"}:
        import json

        for line in path.read_text(encoding="utf-8").splitlines():
            if line.strip():
                yield json.loads(line)
    elif suffix == ".parquet":
        import polars as pl

        yield from pl.read_parquet(path).iter_rows(named=True)
    else:
        for line in path.read_text(encoding="utf-8-sig").splitlines():
            yield {"prompt": line.strip()}


def _prompt(row: Mapping[str, Any], path: Path) -> Prompt:
    if not isinstance(row, Mapping):
        raise InputError(f"{path}: {row!r} is no row with named columns")
    told = {str(name).strip().lower().replace(" ", "_"): value for name, value in row.items()}
    if not any(name in told for name in _PROMPT):
        raise InputError(
            f"{path} has no column {', '.join(_PROMPT)}; seen: {', '.join(map(str, row))}"
        )

    def first(names: Sequence[str]) -> str:
        return next((str(told[n]).strip() for n in names if told.get(n) is not None), "")

    return Prompt(
        prompt=first(_PROMPT),
        negative_prompt=first(_NEGATIVE),
        category=first(_CATEGORY),
        expected_text=first(_EXPECTED),
    )
