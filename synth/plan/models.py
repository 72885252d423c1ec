"""Pydantic models of a plan file: one per method, with lists where values may be swept.

They are derived from the settings models of the methods, where every setting is declared once.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Iterable
from typing import Annotated, Any, Final, Literal, TypeVar, Union, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    GetJsonSchemaHandler,
    create_model,
)
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from ..methods.fields import MethodSettings, Role, refusal
from ..methods.protocol import Method
from ..methods.registry import method_names, method_of
from .plan import Parents

MAX_SEED: Final = 2**64 - 1
BLOCK_NAME: Final = r"[a-z0-9][a-z0-9._-]{0,39}"

_T = TypeVar("_T")


class BlockNames(BaseModel):
    """Fields of every `[[make]]` beside the settings of its method."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    name: Annotated[
        str,
        Field(
            pattern=f"^{BLOCK_NAME}$",
            description="Name of the block in tables and in `of`; default: that of the method.",
        ),
    ] = ""
    of: Annotated[
        str,
        Field(
            description="Parents of the block: `parents`, or the name of an earlier block whose "
            "images are the parents."
        ),
    ] = "parents"


class PlanTable(MethodSettings):
    """A plan of images to make: parents, methods and settings."""

    seed: Annotated[
        int,
        Field(
            ge=0,
            le=MAX_SEED,
            description="Seed of the plan; the same plan and seed make the same images.",
        ),
    ] = 0
    parents: Annotated[
        Parents, Field(description="Selection of the lake's images that are the parents.")
    ] = Parents()


class _OneOrMany:
    """The JSON Schema of one value or a list of them; validation sees a tuple."""

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        array = handler(schema)
        item = array.pop("items")
        return {
            "anyOf": [item, {"type": "array", "items": item, "minItems": 1}],
            **{name: value for name, value in array.items() if name != "type"},
        }


def _listed(value: object) -> tuple[object, ...]:
    return tuple(value) if isinstance(value, (list, tuple)) else (value,)


def _not_empty(values: tuple[_T, ...]) -> tuple[_T, ...]:
    if not values:
        raise refusal("allowed: a value, or a list of at least one")
    return values


@functools.cache
def block_model(method: Method[Any]) -> type[BaseModel]:
    """Build the model of a method's `[[make]]`, where each setting is a value or a list to sweep.

    Args:
        method: Method of the block.
    """
    fields: dict[str, Any] = {
        name: _block_field(field) for name, field in method.settings_model.model_fields.items()
    }
    fields["method"] = (
        Literal[method.name],
        Field(description="Method that makes the images."),
    )
    fields |= {name: (own.annotation, own) for name, own in BlockNames.model_fields.items()}
    model: type[BaseModel] = create_model(
        f"{type(method).__name__}Block",
        __config__=ConfigDict(
            extra="forbid",
            strict=True,
            frozen=True,
            title=method.name,
            arbitrary_types_allowed=True,
        ),
        __doc__=method.description,
        **fields,
    )
    return model


def _block_field(field: FieldInfo) -> tuple[Any, FieldInfo]:
    """Return the type and the declaration of a setting in a block."""
    value = _without_none(field.annotation)
    if constraints := tuple(field.metadata):
        value = Annotated[(value, *constraints)]
    if Role.WHOLE not in field.metadata:
        value = Annotated[
            tuple[value, ...],  # type: ignore[valid-type]
            BeforeValidator(_listed),
            AfterValidator(_not_empty),
            _OneOrMany(),
        ]
    declared: dict[str, Any] = {"title": field.title, "description": field.description}
    if not field.is_required():
        declared["default"] = field.get_default(call_default_factory=True)
    return value, Field(**declared)


def _without_none(annotation: Any) -> Any:
    """Return an annotation without None, since TOML has no null."""
    if get_origin(annotation) not in {Union, types.UnionType}:
        return annotation
    kinds = tuple(kind for kind in get_args(annotation) if kind is not type(None))
    return Union[kinds] if len(kinds) > 1 else kinds[0]  # noqa: UP007


def plan_model(methods: Iterable[Method[Any]]) -> type[BaseModel]:
    """Build the model of a whole plan file.

    Args:
        methods: Methods that the blocks may name.
    """
    blocks = tuple(block_model(method) for method in methods)
    one: Any = Annotated[Union[blocks], Discriminator("method")] if len(blocks) > 1 else blocks[0]  # noqa: UP007
    model: type[BaseModel] = create_model(
        "Plan",
        __base__=PlanTable,
        __doc__=PlanTable.__doc__,
        make=(
            list[one],
            Field(min_length=1, description="Blocks of images, one table per method and sweep."),
        ),
    )
    return model


class _WithoutNulls(GenerateJsonSchema):
    """A schema generator that leaves out defaults of None, which a TOML file cannot hold."""

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        made = super().default_schema(schema)
        if made.get("default", "") in (None, ""):
            made.pop("default", None)
        return made


def plan_schema() -> dict[str, Any]:
    """Return the JSON Schema of plan files for editors, with the methods of installed packages.

    Raises:
        ConfigError: An installed package adds a method that cannot be loaded.
    """
    model = plan_model(method_of(name) for name in method_names())
    schema = model.model_json_schema(schema_generator=_WithoutNulls)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "assay plan",
    }
