"""Preprocessing profiles: every choice between a file's bytes and the network's input, named.

A score depends on all of them, so the whole description is stored with every score, and a
profile never changes under its name: a different choice is a different description.
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

# The authors resize to 440 before a crop of 384, and to 256 before a crop of 224.
_RESIZE_OF_CROP: Final = {384: 440, 224: 256}


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Decode, resize the short edge, crop the centre, scale to [0, 1], normalise.

    Attributes:
        name: Short name, as given with `--profile`.
        decode: From bytes to RGB.
        resize_px: Edge after the resize; smaller pictures are enlarged.
        crop_px: Side of the square that the network sees.
        mean: Subtracted from R, G, B in [0, 1].
        std: Divided by, after the mean is subtracted.
        fit: Whether the short edge gets `resize_px`, or both edges do.
        interpolation: Pillow's filter, which widens with the scale (antialiased).
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
        """All choices in one line: what `scores.profile` holds."""
        mean = " ".join(f"{value:.9g}" for value in self.mean)
        std = " ".join(f"{value:.9g}" for value in self.std)
        edges = "short edge" if self.fit == "short edge" else "both edges"
        return (
            f"{self.name}: {self.decode.name}, {edges} {self.resize_px} px {self.interpolation}"
            f" antialiased, centre {self.crop_px} px, mean {mean}, std {std}"
        )


# name -> decode policy, mean, std
_CHOICES: Final = {
    # What the detector was trained and evaluated with, by its authors.
    "authors-imagenet": (PLAIN, IMAGENET_MEAN, IMAGENET_STD),
    # What the transformers port's preprocessor_config.json asks for: another normalisation
    # than the training's. Here to reproduce the scores of those who follow it.
    "hf-clip": (UPRIGHT, CLIP_MEAN, CLIP_STD),
}


def profile_names() -> tuple[str, ...]:
    """The names that `profile_for` knows."""
    return tuple(_CHOICES)


def profile_for(name: str, crop_px: int) -> Profile:
    """The profile of that name for a network whose input has sides of `crop_px`.

    Raises:
        ConfigError: There is no profile of that name.
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
