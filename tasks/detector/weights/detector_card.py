"""Card of a detector other than a ViT of the built-in layouts: its input, output and origin.

Beside weights the card is a `detector.toml`; a Python object has it as its attribute `card`.
Size, normalisation and the meaning of the outputs have no default.
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
"""Name of the profile that a card describes, for `--profile`."""

_MAX_PX: Final = 4096

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Edge = Annotated[int, Field(ge=1, le=_MAX_PX)]
Mean = Annotated[float, Field(ge=-1, le=2, allow_inf_nan=False)]
Std = Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)]


class _Values(BaseModel):
    """Frozen model that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Square(_Values):
    """Square input of a detector: how an image is resized and cropped to it."""

    size_px: Edge = Field(description="Side of the square.")
    resize_px: Edge | None = Field(
        default=None, description="Edge after the resize, before the crop [default: size_px]."
    )
    fit: Literal["short edge", "stretch"] = Field(
        default="short edge",
        description="Whether the short edge gets the length resize_px, or both edges do.",
    )
    interpolation: Literal["bilinear", "bicubic"] = Field(
        default="bilinear", description="Filter of the resize, antialiased as in Pillow."
    )
    upright: bool = Field(
        default=False, description="Whether the image is first rotated by its Exif orientation."
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
        """Return the profile that makes such squares, normalised by mean and std."""
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
    """Square input with the normalisation of its pixels."""

    mean: tuple[Mean, Mean, Mean] = Field(
        description="Means of red, green and blue in [0, 1], subtracted from the pixels."
    )
    std: tuple[Std, Std, Std] = Field(
        description="Standard deviations of red, green and blue, which divide the difference."
    )


class Output(_Values):
    """Output of a network: its logit, its labels and the layer of its embedding."""

    positive: Direction | None = Field(
        default=None, description="Class that a larger logit means, fake or real; for one logit."
    )
    fake_index: Literal[0, 1] | None = Field(
        default=None,
        description="Index of the AI-generated class, for two classes. The logit is its output "
        "minus the other's.",
    )
    labels: tuple[str, ...] = Field(
        default=(), description="Names of the outputs, in order, for display."
    )
    head: str | None = Field(
        default=None,
        description="Name of the last layer, whose input is the embedding, for transformers "
        "[default: classifier]. For timm the embedding is forward_head(pre_logits=True).",
    )

    @property
    def n_logits(self) -> int:
        """Number of the network's outputs."""
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
    """Fields that every card has."""

    name: Name = Field(description="Name of the detector, the first part of `scores.detector`.")
    weights_sha256: Sha256 | None = Field(
        default=None,
        description="Required hash of the weights; without it they are called unverified.",
    )
    licence: str = Field(description="Licence of code and weights.")
    data_licence: str = Field(default="not stated", description="Licence of the training data.")
    limits: str = Field(
        default="not stated", description="Known errors of the detector, in a sentence."
    )


class FolderCard(_Described):
    """Card of an image classifier of timm or transformers: `detector.toml` beside its weights."""

    library: Literal["timm", "transformers"] = Field(description="Library of the network.")
    architecture: str | None = Field(
        default=None,
        description="Name of the architecture, for timm [default: the one in config.json].",
    )
    input: NormalisedSquare
    output: Output


class Card(_Described):
    """Card of a detector that is a Python object.

    `version` is part of the identity of its scores and must change whenever they do.
    """

    version: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$")]
    input: Square
    weights: tuple[Path, ...] = Field(
        default=(), description="Files that decide the scores; none for code without weights."
    )

    def unverified_identity(self) -> str:
        """Return the hash of the card itself, which replaces the weights' hash without files."""
        text = self.model_dump_json(exclude={"weights"})
        return UNVERIFIED + hashlib.sha256(text.encode()).hexdigest()


_C = TypeVar("_C", bound=_Described)


def read_card(model: type[_C], values: Mapping[str, Any], what: str) -> _C:
    """Return the card with the values of a TOML file.

    Args:
        model: Class of the card.
        values: Values by key.
        what: Name of the file in messages.

    Raises:
        ModelError: A key is unknown or missing, or a value is out of its range.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        # An unknown key comes first: a missing key is often the same one, misspelt.
        first = min(error.errors(), key=lambda slip: slip["type"] != "extra_forbidden")
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
    kind: Any = model
    for part in table:
        kind = kind.model_fields[part].annotation
    return tuple(kind.model_fields)
