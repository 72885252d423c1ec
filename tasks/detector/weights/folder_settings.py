"""Files beside a ViT's weights: `config.json` and the settings in `detector.toml`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from ....data.errors import ConfigError, ModelError, UntrustedWeights
from ....data.toml_file import parse_toml
from ..inputs.profiles import DEFAULT_PROFILE, profile_names
from .hub import CheckpointFiles
from .registry import DetectorCard, Direction
from .safetensors_file import check_hash, read_weights, sha256_of


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderSettings:
    """Settings of a `detector.toml`; None for each that it does not state.

    Attributes:
        positive: Class that a larger logit means.
        profile: Name of the preprocessing profile that the checkpoint was trained with.
        heads: Number of heads per block.
        layer_norm_eps: Epsilon of every norm.
        weights_sha256: Required hash of the weights file.
    """

    positive: Direction | None = None
    profile: str | None = None
    heads: int | None = None
    layer_norm_eps: float | None = None
    weights_sha256: str | None = None


def read_config(files: CheckpointFiles, card: DetectorCard | None) -> dict[str, Any] | None:
    """Return the parsed `config.json`; None where there is none and the card pins none.

    Args:
        files: Files of the checkpoint.
        card: Card of the registered detector, which may pin the config's hash.

    Raises:
        ModelError: The file cannot be read.
        UntrustedWeights: A pinned config is missing or has another hash, or the file holds no
            JSON object.
    """
    pinned = None if card is None else card.config_sha256
    if files.config is None:
        if pinned is not None:
            raise UntrustedWeights(
                f"{files.weights.parent} has no config.json, which these weights need; get it"
            )
        return None
    raw = read_weights(files.config)
    if pinned is not None:
        check_hash(
            sha256_of(raw), pinned, str(files.config), do="get the one that belongs to the weights"
        )
    try:
        config = json.loads(raw)
    except ValueError as error:
        raise UntrustedWeights(f"{files.config} is not JSON ({error}); get it again") from error
    if not isinstance(config, dict):
        raise UntrustedWeights(f"{files.config} is not a JSON object; get it again")
    return config


def read_toml_beside(files: CheckpointFiles) -> dict[str, Any]:
    """Return the parsed `detector.toml`; empty where there is none.

    Raises:
        ModelError: The file cannot be read.
    """
    if files.settings is None:
        return {}
    try:
        return parse_toml(read_weights(files.settings))
    except ValueError as error:
        raise ModelError(f"{files.settings} cannot be read: {error}; correct it") from error


def folder_settings(values: dict[str, Any]) -> FolderSettings:
    """Return the settings in a parsed `detector.toml`.

    Raises:
        ConfigError: The direction is neither `fake` nor `real`.
        ModelError: Another value is out of its range.
    """
    promised = values.get("weights_sha256")
    return FolderSettings(
        positive=direction_of(values.get("positive"), "detector.toml: positive"),
        profile=_profile(values.get("profile")),
        heads=_heads(values.get("heads")),
        layer_norm_eps=_epsilon(values.get("layer_norm_eps")),
        weights_sha256=None if promised is None else str(promised),
    )


def agreed_direction(
    name: str, stated: Direction | None, card: DetectorCard | None, settings: FolderSettings
) -> Direction:
    """Return the class that a larger logit means; it is never guessed.

    Args:
        name: Name of the detector in messages.
        stated: Class that the caller states.
        card: Card of the registered detector, which overrides the folder's settings.
        settings: Settings of the folder's `detector.toml`.

    Raises:
        ConfigError: The caller states another class than the known one.
        ModelError: Neither registry, folder nor caller states the class.
    """
    known = settings.positive if card is None else card.positive
    if known is not None and stated is not None and known != stated:
        raise ConfigError(
            f"positive = {stated!r} for {name}, which is known to be {known!r}; leave it out"
        )
    direction = known or stated
    if direction is None:
        raise ModelError(
            f"{name}: whether a larger logit means fake or real is not stated, and label names in"
            ' config.json are no evidence; put `positive = "fake"` into a detector.toml beside the'
            " weights, or give --positive fake (or real)"
        )
    return direction


def direction_of(value: object, what: str) -> Direction | None:
    """Return the class that a value states; None for None.

    Args:
        value: Value of the setting.
        what: Name of the setting in messages.

    Raises:
        ConfigError: The value is neither `fake` nor `real`.
    """
    match value:
        case None:
            return None
        case "fake":
            return "fake"
        case "real":
            return "real"
    raise ConfigError(f"{what} = {value!r}; choose fake or real")


def profile_of(settings: FolderSettings, card: DetectorCard | None) -> str:
    """Return the name of a checkpoint's profile, from folder, registry or default."""
    return settings.profile or (card.profile if card else DEFAULT_PROFILE)


def _profile(name: object) -> str | None:
    if name is not None and name not in profile_names():
        raise ModelError(
            f"detector.toml: profile = {name!r}; choose one of: {', '.join(profile_names())}"
        )
    return None if name is None else str(name)


def _heads(heads: object) -> int | None:
    if heads is None:
        return None
    if not isinstance(heads, int) or isinstance(heads, bool) or heads < 1:
        raise ModelError(f"detector.toml: heads = {heads!r}; expected a whole number above 0")
    return heads


def _epsilon(epsilon: object) -> float | None:
    if epsilon is None:
        return None
    if not isinstance(epsilon, float) or not 0 < epsilon <= 1e-3:
        raise ModelError(
            f"detector.toml: layer_norm_eps = {epsilon!r}; expected a number above 0, at most 0.001"
        )
    return epsilon
