"""The card of a detector that is no ViT of the built-in layouts: what it takes, gives and is.

Beside weights it is a `detector.toml`; a Python object carries it as its attribute `card`.
Nothing in it has a default that a score hangs on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ....data.errors import ModelError
from ....data.images.decode import PLAIN, UPRIGHT
from ....data.score_key import UNVERIFIED
from ....data.text.wording import did_you_mean, shown
from ..inputs.profiles import Profile
from .registry import Direction

OWN_PROFILE: Final = "own"
"""Name of the profile that a card describes, as given with `--profile`."""

_MAX_PX: Final = 4096

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Edge = Annotated[int, Field(ge=1, le=_MAX_PX)]
Mean = Annotated[float, Field(ge=-1, le=2, allow_inf_nan=False)]
Std = Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)]


class _Values(BaseModel):
    """Values by name; nothing else is allowed beside them."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Square(_Values):
    """The square of an image that a detector sees: how it is resized and cut."""

    size_px: Edge = Field(description="Side of the square.")
    resize_px: Edge | None = Field(
        default=None, description="Edge after the resize, before the cut [default: the side]."
    )
    fit: Literal["short edge", "stretch"] = Field(
        default="short edge",
        description="Whether the short edge gets that length, or both edges do.",
    )
    interpolation: Literal["bilinear", "bicubic"] = Field(
        default="bilinear", description="Filter of the resize, antialiased as Pillow has it."
    )
    upright: bool = Field(
        default=False, description="Whether the image is turned first as its metadata asks."
    )

    @model_validator(mode="after")
    def _holds_the_square(self) -> Self:
        if self.resize_px is not None and self.resize_px < self.size_px:
            raise ValueError(
                f"resize_px = {self.resize_px} is less than size_px = {self.size_px}; "
                "allowed: size_px or more"
            )
        return self

    def profile(self, mean: tuple[float, float, float], std: tuple[float, float, float]) -> Profile:
        """Return the profile that prepares such squares, normalised by mean and std."""
        return Profile(
            name=OWN_PROFILE,
            decode=UPRIGHT if self.upright else PLAIN,
            resize_px=self.resize_px or self.size_px,
            crop_px=self.size_px,
            mean=mean,
            std=std,
            fit=self.fit,
            interpolation=self.interpolation,
        )


class NormalisedSquare(Square):
    """The same, and how its pixels are normalised."""

    mean: tuple[Mean, Mean, Mean] = Field(
        description="Subtracted from red, green and blue in [0, 1]."
    )
    std: tuple[Std, Std, Std] = Field(description="Divided by, after the mean is subtracted.")


class Output(_Values):
    """Which number of the network's output is the logit, and which layer the embedding."""

    positive: Direction | None = Field(
        default=None, description="With one logit: what a larger one means, fake or real."
    )
    fake_index: Literal[0, 1] | None = Field(
        default=None,
        description="With two classes: index of the fake one. The logit is its output minus the "
        "other's.",
    )
    labels: tuple[str, ...] = Field(
        default=(), description="Names of the outputs, in their order; for people."
    )
    head: str | None = Field(
        default=None,
        description="With transformers: name of the last layer, whose input is the embedding "
        "[default: classifier]. With timm the embedding is forward_head(pre_logits=True).",
    )

    @property
    def n_logits(self) -> int:
        """Outputs of the network."""
        return 1 if self.fake_index is None else 2

    @model_validator(mode="after")
    def _one_meaning(self) -> Self:
        if (self.positive is None) == (self.fake_index is None):
            raise ValueError(
                'allowed: positive = "fake" (or "real") for one logit, or fake_index = 0 (or 1) '
                "for two classes, not both"
            )
        if self.labels and len(self.labels) != self.n_logits:
            raise ValueError(f"labels names {len(self.labels)} outputs; allowed: {self.n_logits}")
        return self


class _Described(_Values):
    """What every card says of a detector."""

    name: Name = Field(description="Name of the detector, first part of `scores.detector`.")
    weights_sha256: Sha256 | None = Field(
        default=None,
        description="Hash that the weights must have; without it they are called unverified.",
    )
    licence: str = Field(description="Licence of code and weights.")
    data_licence: str = Field(
        default="not stated", description="Licence of what it was trained on."
    )
    limits: str = Field(
        default="not stated", description="What it is known to get wrong, in a sentence."
    )


class FolderCard(_Described):
    """A `detector.toml` beside the weights of an image classifier of timm or transformers."""

    library: Literal["timm", "transformers"] = Field(description="Library that has the network.")
    architecture: str | None = Field(
        default=None,
        description="With timm: name of the architecture [default: what config.json says].",
    )
    input: NormalisedSquare
    output: Output


class Card(_Described):
    """The card of a detector that is a Python object.

    `version` must change whenever the object's scores do: scores are known by it.
    """

    version: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$")]
    input: Square
    weights: tuple[Path, ...] = Field(
        default=(), description="Files that the scores come from; none for code alone."
    )

    def unverified_identity(self) -> str:
        """Return what stands for the hash of weights where there are no files: the card's own."""
        text = self.model_dump_json(exclude={"weights"})
        return UNVERIFIED + hashlib.sha256(text.encode()).hexdigest()


_C = TypeVar("_C", bound=_Described)


def read_card(model: type[_C], values: Mapping[str, Any], what: str) -> _C:
    """Return the card that plain values state.

    Args:
        model: Kind of card.
        values: Values by name, as a TOML file holds them.
        what: Name of the file in messages.

    Raises:
        ModelError: A key is unknown or missing, or a value out of its range.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        # A misspelt key is told first: what is missing beside it is the same slip.
        first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
        key = ".".join(map(str, first["loc"]))
        if first["type"] == "extra_forbidden":
            allowed = _keys(model, first["loc"][:-1])
            raise ModelError(
                f"{what}: unknown key {key}; allowed here: {', '.join(allowed)}"
                f"{did_you_mean(first['loc'][-1], allowed)}"
            ) from error
        if first["type"] == "missing":
            raise ModelError(f"{what}: {key} is missing; add it") from error
        if first["type"] == "value_error":
            raise ModelError(f"{what}: {key}: {first['ctx']['error']}") from error
        raise ModelError(
            f"{what}: {key} = {shown(first['input'])}; {first['msg'].lower()}"
        ) from error


def _keys(model: type[BaseModel], table: tuple[int | str, ...]) -> tuple[str, ...]:
    found: Any = model
    for part in table:
        found = found.model_fields[part].annotation
    return tuple(found.model_fields)
