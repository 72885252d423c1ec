"""`text`: images from prompts of the plan or of a file, which may be templates."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field

from ...data.errors import ConfigError
from ...data.text.wording import shown
from ..generators.presets import PRESETS
from ..job import Job
from ..plan_paths import is_file
from ..prompts import MODERATION, expand, prompts_of, template_names
from .fields import Role, Side, Text, refusal
from .painting import Canvas, PaintingMethod, PaintingSettings, generator_for, paint
from .protocol import Made, Needs, Tools, swept_values


def _texts(value: object) -> object:
    if not isinstance(value, (list, tuple)) or not all(isinstance(one, str) for one in value):
        raise refusal("is not a list of texts")
    return tuple(value)


def _not_empty(values: tuple[str, ...]) -> tuple[str, ...]:
    if not values:
        raise refusal("allowed: a value, or a list of at least one")
    return values


_Texts = Annotated[
    tuple[Text, ...],
    BeforeValidator(_texts),
    AfterValidator(_not_empty),
    Field(json_schema_extra={"minItems": 1}),
]


class TextSettings(PaintingSettings):
    """Settings of `text`."""

    prompts: Annotated[
        Text | None,
        Role.WHOLE,
        Field(
            description=f"File of prompts (.txt, .csv, .tsv, .jsonl, .json or .parquet), or "
            f"{MODERATION}: thirty prompts for images with text; a path is relative to the plan's "
            "folder."
        ),
    ] = None
    variables: Annotated[
        dict[Text, _Texts] | None,
        Role.WHOLE,
        Field(
            description="Values by name for templates such as `a {colour} car`; every combination "
            "is made."
        ),
    ] = None
    times: Annotated[
        int,
        Role.WHOLE,
        Field(ge=1, le=1_000_000, description="Images per prompt, each with its own seed."),
    ] = 1
    width: Annotated[
        Side | None, Field(description="Width of the image; default: that of the generator.")
    ] = None
    height: Annotated[
        Side | None, Field(description="Height of the image; default: that of the generator.")
    ] = None
    ocr: Annotated[
        bool,
        Role.LOADS,
        Role.MEASURES,
        Field(description="Whether text is read in images whose prompts have an expected_text."),
    ] = False


class TextToImage(PaintingMethod[TextSettings]):
    """The method that makes images from prompts, without parents."""

    name = "text"
    description = "Images from prompts alone; labelled fake."
    settings_model = TextSettings
    uses_parent = False
    expands = frozenset({"prompt", "prompts", "times", "variables"})
    # Properties of a prompt that the generator does not see.
    unkeyed = frozenset({"category", "expected_text"})

    def needs(self, settings: TextSettings) -> Needs:
        """Return the generator, its adapters, the CLIP model and the text reader to load."""
        return dataclasses.replace(super().needs(settings), reads_text=settings.ocr)

    def checked(self, block: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
        """Refuse a block without prompts, a missing file, and sizes that are not supported.

        Raises:
            ConfigError: There is no prompt, or the file of prompts is missing.
            SynthError: A registered generator does not support a size.
        """
        if not {"prompt", "prompts"} & block.keys():
            raise ConfigError("text needs prompt = ... or prompts = FILE")
        for prompts in swept_values(block, "prompts"):
            if prompts != MODERATION and not is_file(folder / prompts):
                raise ConfigError(
                    f"prompts = {shown(prompts)} is not a file; allowed: {MODERATION}, or a file "
                    f"(looked in {folder.resolve()})"
                )
        # Sizes of registered generators are checked before anything is loaded.
        sides = (swept_values(block, name) or [None] for name in ("generator", "width", "height"))
        for generator, width, height in itertools.product(*map(dict.fromkeys, sides)):
            if preset := PRESETS.get(generator):
                preset.check_size(width or preset.default_px, height or preset.default_px)
        return block

    def expand(self, block: Mapping[str, Any], folder: Path) -> Iterator[dict[str, Any]]:
        """Yield each filled prompt `times` times; repetitions have a number `turn` from 1."""
        rows, variables = _prompts(block, folder), _variables(block)
        if variables:
            rows = [row | {"prompt": p} for row in rows for p in expand(row["prompt"], variables)]
        for row, turn in itertools.product(rows, range(_times(block))):
            yield row | ({"turn": turn} if turn else {})

    def count(self, block: Mapping[str, Any], folder: Path) -> int:
        """Count the prompts, without filling templates."""
        variables = _variables(block)
        n_filled = sum(
            math.prod(len(variables[name]) for name in template_names(row["prompt"], variables))
            if variables
            else 1
            for row in _prompts(block, folder)
        )
        return n_filled * _times(block)

    def follows_label(self, settings: TextSettings, parent_label: str | None) -> list[Any]:
        """Return an empty list: there is no parent."""
        return []

    def words(self, settings: Mapping[str, Any]) -> list[str]:
        """Return the words of the settings, and the prompt's category if it has one."""
        category = settings.get("category")
        return [*super().words(settings), *([str(category)] if category else [])]

    def make(self, job: Job, settings: TextSettings, parent: bytes | None, tools: Tools) -> Made:
        """Make the image of a job."""
        canvas = Canvas(width_px=settings.width, height_px=settings.height)
        return paint(job, settings, generator_for(settings, tools), canvas, tools)


def _prompts(block: Mapping[str, Any], folder: Path) -> list[dict[str, str]]:
    """Return the prompts of a block, its own and those of its file, as templates."""
    rows = [{"prompt": str(prompt)} for prompt in swept_values(block, "prompt")]
    if named := block.get("prompts"):
        rows += [row.settings() for row in prompts_of(str(named), folder)]
    return rows


def _variables(block: Mapping[str, Any]) -> Mapping[str, Any]:
    variables: Mapping[str, Any] = block.get("variables", {})
    return variables


def _times(block: Mapping[str, Any]) -> int:
    return int(block.get("times", 1))


METHOD: Final = TextToImage()
