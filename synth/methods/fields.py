"""What the settings of methods are declared with: types, ranges, and what a setting is for.

A method's settings are one pydantic model, one value per field. A plan may give a list for each of
them, which is swept; the model of a block of the plan is derived from that of the method.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError

REFUSED: Final = "refused"
"""Type of errors whose text says what is allowed."""
PATH_OR_NAME: Final = "a path is read against the plan's folder"


class MethodSettings(BaseModel):
    """Settings by name; nothing else is allowed beside them, and nothing is converted."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Role(Enum):
    """What a setting is for, beside deciding pixels. Stands in the annotation of its field."""

    LOADS = auto()
    """Names something that is loaded once a run."""
    MEASURES = auto()
    """Measures the picture and leaves it as it is: no part of its key."""
    WHOLE = auto()
    """Is one value whatever its type, never a list to sweep."""


@dataclass(frozen=True, slots=True)
class InTable:
    """Where a setting stands in the words that name a row of the table of who evades."""

    place: int = 4
    """Low ones first; equal ones in the order of the model."""
    is_named: bool = True
    """Whether the setting's name stands before its value."""


@dataclass(frozen=True, slots=True)
class Unit:
    """The unit of a number, for the JSON Schema and lists of settings."""

    name: str

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Return the schema with the unit."""
        return dict(handler(schema)) | {"unit": self.name}


def refusal(text: str) -> PydanticCustomError:
    """Return an error of a value.

    Args:
        text: What is allowed, as `allowed: ...`.
    """
    return PydanticCustomError(REFUSED, "{text}", {"text": text})


def fields_of(model: type[BaseModel], role: Role) -> frozenset[str]:
    """Return the names of the fields with a role."""
    return frozenset(name for name, field in model.model_fields.items() if role in field.metadata)


def defaults_of(model: type[BaseModel]) -> dict[str, Any]:
    """Return the values that hold where a plan says nothing; none for fields that default to None.

    They are part of a picture's key, so that a default that is said makes the same picture.
    """
    return {
        name: field.default
        for name, field in model.model_fields.items()
        if not field.is_required() and field.default is not None
    }


def in_table(model: type[BaseModel]) -> Iterator[tuple[str, InTable]]:
    """Yield the settings that name a row of the table of who evades, in their order."""
    placed = [
        (name, mark)
        for name, field in model.model_fields.items()
        for mark in field.metadata
        if isinstance(mark, InTable)
    ]
    yield from sorted(placed, key=lambda one: one[1].place)


def _valid_text(value: str) -> str:
    if "\0" in value or any("\ud800" <= char <= "\udfff" for char in value):
        raise refusal("allowed: text that UTF-8 can hold, without NUL")
    return value


def _not_blank(value: str) -> str:
    """An empty path is the current folder, and an empty name would be none at all."""
    if not value.strip():
        raise refusal("allowed: a name or a path; leave it out where there is none")
    return value


Text = Annotated[str, AfterValidator(_valid_text)]
Name = Annotated[Text, AfterValidator(_not_blank)]
Side = Annotated[int, Field(ge=1, le=16_384), Unit("px")]
Share = Annotated[float, Field(ge=0, le=1)]
Steps = Annotated[int, Field(ge=1, le=1000)]
