"""Preprocessing profiles: all named choices between a file's bytes and the network's input.

A score depends on every choice, so the full description is stored with every score. A profile
never changes under its name: another choice gives another description.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from ....data.errors import ConfigError
from ....data.images.decode import PLAIN, UPRIGHT, DecodePolicy

IMAGENET_MEAN: Final = (0.485, 0.456, 0.406)
IMAGENET_STD: Final = (0.229, 0.224, 0.225)
CLIP_MEAN: Final = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD: Final = (0.26862954, 0.26130258, 0.27577711)

DEFAULT_PROFILE: Final = "authors-imagenet"

# Resize edge of each crop in the authors' code, in pixels.
_RESIZE_OF_CROP: Final = {384: 440, 224: 256}


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Preprocessing: decode, resize, crop the centre, scale to [0, 1], normalise.

    Attributes:
        name: Short name, for `--profile`.
        decode: Policy of decoding bytes to RGB.
        resize_px: Edge after the resize; smaller images are enlarged.
        crop_px: Side of the network's square input.
        mean: Means of R, G and B in [0, 1], which are subtracted.
        std: Standard deviations of R, G and B, which divide the difference.
        fit: Whether the short edge gets the length `resize_px`, or both edges do.
        interpolation: Pillow's filter, widened by the scale (antialiased).
    """

    name: str
    decode: DecodePolicy
    resize_px: int
    crop_px: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    fit: Literal["short edge", "stretch"] = "short edge"
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"

    def describe(self) -> str:
        """Return all choices in one line, as in `scores.profile`."""
        mean = " ".join(f"{value:.9g}" for value in self.mean)
        std = " ".join(f"{value:.9g}" for value in self.std)
        edges = "short edge" if self.fit == "short edge" else "both edges"
        return (
            f"{self.name}: {self.decode.name}, {edges} {self.resize_px} px {self.interpolation}"
            f" antialiased, centre {self.crop_px} px, mean {mean}, std {std}"
        )


# name -> decode policy, mean, std
_CHOICES: Final = {
    # The authors' training and evaluation.
    "authors-imagenet": (PLAIN, IMAGENET_MEAN, IMAGENET_STD),
    # The transformers port's preprocessor_config.json, whose normalisation differs from the
    # training's; for reproducing scores that were made with it.
    "hf-clip": (UPRIGHT, CLIP_MEAN, CLIP_STD),
}


def profile_names() -> tuple[str, ...]:
    """Return the names of the profiles."""
    return tuple(_CHOICES)


def profile_for(name: str, crop_px: int) -> Profile:
    """Return the profile with a name, for a network with an input of side `crop_px`.

    Raises:
        ConfigError: The name is unknown.
    """
    if name not in _CHOICES:
        raise ConfigError(
            f"profile {name!r} is unknown; choose one of: {', '.join(profile_names())}"
        )
    decode, mean, std = _CHOICES[name]
    resize_px = _RESIZE_OF_CROP.get(crop_px, round(crop_px * 440 / 384))
    return Profile(
        name=name, decode=decode, resize_px=resize_px, crop_px=crop_px, mean=mean, std=std
    )
