"""Types, ranges and roles for the settings of methods.

The settings of a method are a pydantic model with one value per field. A plan may give a list for
each field, which is swept; the model of a plan's block is derived from that of the method.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError

REFUSED: Final = "refused"
"""Type of pydantic errors whose message names the allowed values."""
PATH_OR_NAME: Final = "a path is relative to the plan's folder"


class MethodSettings(BaseModel):
    """Base of settings models: unknown names are refused, and values are not converted."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Role(Enum):
    """Roles of a setting besides deciding pixels, in the annotation of its field."""

    LOADS = auto()
    """Setting that names something to load once per run."""
    MEASURES = auto()
    """Setting that only measures the image, so it is not part of its key."""
    WHOLE = auto()
    """Setting that is never swept, even where its value is a list."""


@dataclass(frozen=True, slots=True)
class InTable:
    """Place of a setting in the row names of the evasion table."""

    place: int = 4
    """Rank in ascending order; equal ones keep the order of the model."""
    is_named: bool = True
    """Whether the setting's name precedes its value."""


@dataclass(frozen=True, slots=True)
class Unit:
    """The unit of a number in the JSON Schema and in lists of settings."""

    name: str
    """Name of the unit."""

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Return the schema with the unit."""
        return dict(handler(schema)) | {"unit": self.name}


def refusal(text: str) -> PydanticCustomError:
    """Return a pydantic error for a value that is not allowed.

    Args:
        text: Text of the form `allowed: ...`.
    """
    return PydanticCustomError(REFUSED, "{text}", {"text": text})


def fields_of(model: type[BaseModel], role: Role) -> frozenset[str]:
    """Return the names of a model's fields with a role."""
    return frozenset(name for name, field in model.model_fields.items() if role in field.metadata)


def defaults_of(model: type[BaseModel]) -> dict[str, Any]:
    """Return the defaults of a settings model by name, except those that are None.

    They are part of an image's key, so that a plan with an explicit default makes the same image.
    """
    return {
        name: field.default
        for name, field in model.model_fields.items()
        if not field.is_required() and field.default is not None
    }


def in_table(model: type[BaseModel]) -> Iterator[tuple[str, InTable]]:
    """Yield the settings that name a row of the evasion table, in their order."""
    placed = [
        (name, mark)
        for name, field in model.model_fields.items()
        for mark in field.metadata
        if isinstance(mark, InTable)
    ]
    yield from sorted(placed, key=lambda one: one[1].place)


def _valid_text(value: str) -> str:
    if "\0" in value or any("\ud800" <= char <= "\udfff" for char in value):
        raise refusal("allowed: valid Unicode text without NUL")
    return value


def _not_blank(value: str) -> str:
    """Refuse a blank name or path, since an empty path would be the working folder."""
    if not value.strip():
        raise refusal("allowed: a name or a path; leave the setting out for none")
    return value


Text = Annotated[str, AfterValidator(_valid_text)]
Name = Annotated[Text, AfterValidator(_not_blank)]
Side = Annotated[int, Field(ge=1, le=16_384), Unit("px")]
Share = Annotated[float, Field(ge=0, le=1)]
Steps = Annotated[int, Field(ge=1, le=1000)]
