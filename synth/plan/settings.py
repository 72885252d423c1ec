"""What a plan may say: each method's settings with their types and ranges, declared once.

A setting of a method may be one value or a list, which is swept. Bounds are those of what can be
made: they are checked before anything is loaded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from ...data.errors import ConfigError
from ...data.text.wording import did_you_mean, shown

CHOICES: Final = ("real", "fake", "any", "near")
AIMS: Final = {"lower": -1, "raise": 1}
"""Which way an attack moves the logit."""
CONTROLS: Final = ("canny", "depth", "blur")
DEPTH_IS_GIVEN: Final = (
    "depth is not estimated here; give depth pictures: controls = FOLDER, with IMAGE_ID.png"
)
MAX_SEED: Final = 2**64 - 1
MAX_PARENTS: Final = 1_000_000

_T = TypeVar("_T")
_REFUSED: Final = "refused"


def _between(least: float, greatest: float) -> AfterValidator:
    """Check a number; what is no number compares as neither less nor more."""

    def checked(value: float) -> float:
        if not least <= value <= greatest:
            raise _refusal(f"allowed: {_plain(least)} to {_plain(greatest)}")
        return value

    return AfterValidator(checked)


def _plain(bound: float) -> str:
    return f"{bound:,}" if isinstance(bound, int) else f"{bound:g}"


def _refusal(text: str) -> PydanticCustomError:
    return PydanticCustomError(_REFUSED, "{text}", {"text": text})


def _one_of(words: Iterable[str]) -> AfterValidator:
    allowed = tuple(words)

    def checked(value: str) -> str:
        if value not in allowed:
            raise _refusal(f"allowed: {', '.join(allowed)}{did_you_mean(value, allowed)}")
        return value

    return AfterValidator(checked)


def _whole_levels(value: float) -> float:
    """A file holds whole levels, so that half a level would become one or none."""
    if value != round(value):
        raise _refusal("allowed: whole levels of 255, since the file holds no others")
    return value


def _valid_text(value: str) -> str:
    if "\0" in value or any("\ud800" <= char <= "\udfff" for char in value):
        raise _refusal("allowed: text that UTF-8 can hold, without NUL")
    return value


def _listed(value: object) -> tuple[object, ...]:
    return tuple(value) if isinstance(value, (list, tuple)) else (value,)


def _texts(value: object) -> object:
    if not isinstance(value, (list, tuple)) or not all(isinstance(one, str) for one in value):
        raise _refusal("is not a list of texts")
    return tuple(value)


def _not_empty(values: tuple[_T, ...]) -> tuple[_T, ...]:
    if not values:
        raise _refusal("allowed: a value, or a list of at least one")
    return values


def _not_blank(value: str) -> str:
    """An empty path is the current folder, and an empty name would be none at all."""
    if not value.strip():
        raise _refusal("allowed: a name or a path; leave it out where there is none")
    return value


Text = Annotated[str, AfterValidator(_valid_text)]
Name = Annotated[Text, AfterValidator(_not_blank)]
Swept = Annotated[tuple[_T, ...], BeforeValidator(_listed), AfterValidator(_not_empty)]
Side = Annotated[int, _between(1, 16_384)]
Share = Annotated[float, _between(0, 1)]
Seed = Annotated[int, _between(0, MAX_SEED)]


class Settings(BaseModel):
    """Settings by name; nothing else is allowed beside them, and nothing is converted."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ParentsTable(Settings):
    """`[parents]`: which images of the lake the pictures are made from."""

    choose: Annotated[str, _one_of(CHOICES)] = "real"
    n: Annotated[int, _between(0, MAX_PARENTS)] = 100
    where: Text = ""


class _Painted(Settings):
    generator: Swept[Name]
    prompt: Swept[Text] = ()
    negative_prompt: Swept[Text] = ()
    steps: Swept[Annotated[int, _between(1, 1000)]] = ()
    guidance: Swept[Annotated[float, _between(0, 100)]] = ()
    lora: Swept[Text] = ()
    clip: Swept[Text] = ()


class RepaintSettings(_Painted):
    """`image-to-image`."""

    strength: Swept[Annotated[float, _between(0.01, 1)]] = ()


class TextSettings(_Painted):
    """`text`."""

    prompts: Text = ""
    variables: dict[
        Text, Annotated[tuple[Text, ...], BeforeValidator(_texts), AfterValidator(_not_empty)]
    ] = {}
    times: Annotated[int, _between(1, 1_000_000)] = 1
    width: Swept[Side] = ()
    height: Swept[Side] = ()
    ocr: Swept[bool] = ()


class InpaintSettings(RepaintSettings):
    """`inpaint`."""

    mask: Swept[Name] = ()


class ControlSettings(_Painted):
    """`control`."""

    controlnet: Swept[Name]
    control: Swept[Annotated[str, _one_of(CONTROLS)]]
    controls: Swept[Name] = ()


class AlignedSettings(Settings):
    """`aligned`."""

    autoencoder: Swept[Name]
    dct_blend: Swept[Share] = ()


class LaunderSettings(Settings):
    """`launder`."""

    condition: Swept[Text] = ()


class _Attack(Settings):
    steps: Swept[Annotated[int, _between(1, 1000)]] = ()
    detector: Swept[Text] = ()
    aim: Swept[Annotated[str, _one_of(AIMS)]] = ()


class PixelAttackSettings(_Attack):
    """`attack`."""

    kind: Swept[Annotated[str, _one_of(("pgd", "apgd"))]] = ()
    epsilon: Swept[Annotated[float, _between(1, 64), AfterValidator(_whole_levels)]] = ()
    survive_files: Swept[bool] = ()


class LatentAttackSettings(_Attack):
    """`latent-attack`."""

    autoencoder: Swept[Name]
    box: Swept[Annotated[float, _between(0.001, 10)]] = ()


METHODS: Final[dict[str, type[Settings]]] = {
    "text": TextSettings,
    "image-to-image": RepaintSettings,
    "inpaint": InpaintSettings,
    "control": ControlSettings,
    "aligned": AlignedSettings,
    "launder": LaunderSettings,
    "attack": PixelAttackSettings,
    "latent-attack": LatentAttackSettings,
}
"""What each method may be told."""

_TYPES: Final = {
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "dict_type": "a table",
}


def check_settings(
    model: type[Settings], told: Mapping[str, Any], *, where: str, missing: Mapping[str, str]
) -> None:
    """Check values against a model.

    Args:
        model: Names, types and ranges.
        told: Values by name, as a file holds them.
        where: Beginning of the message.
        missing: What to say of a required name that is not there.

    Raises:
        ConfigError: Says of the first value that is out of place what was seen and is allowed.
    """
    if not isinstance(told, Mapping):
        raise ConfigError(f"{where} is {shown(told)}; allowed: a table")
    names = tuple(model.model_fields)
    if unknown := [name for name in told if name not in names]:
        raise ConfigError(
            f"{where}: unknown {', '.join(map(str, unknown))}; allowed: {', '.join(names)}"
            f"{did_you_mean(unknown[0], names)}"
        )
    try:
        model.model_validate(dict(told))
    except ValidationError as error:
        # What is there and wrong is told before what is not there.
        first = min(error.errors(), key=lambda one: one["type"] == "missing")
        raise ConfigError(f"{where}: {_told(first, missing)}") from error


def _told(error: ErrorDetails, missing: Mapping[str, str]) -> str:
    kind, (first, *rest) = error["type"], error["loc"]
    if kind == "missing":
        return missing.get(str(first), f"{first} is missing")
    # The number of a swept value within its list tells nobody anything.
    name = ".".join([str(first), *(part for part in rest if isinstance(part, str))])
    said = error["msg"] if kind == _REFUSED else f"is not {_TYPES.get(kind, error['msg'])}"
    return f"{name} = {shown(error['input'])}{' ' if said.startswith('is') else '; '}{said}"
