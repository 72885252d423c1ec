"""What lies beside a ViT's weights: `config.json`, and what a `detector.toml` states of them."""

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
    """Keys of a `detector.toml`; None for what it does not state.

    Attributes:
        positive: What a larger logit means.
        profile: Preprocessing that the checkpoint was trained with.
        heads: Heads of each block.
        layer_norm_eps: Epsilon of every norm.
        weights_sha256: Hash that the weights file must have.
    """

    positive: Direction | None = None
    profile: str | None = None
    heads: int | None = None
    layer_norm_eps: float | None = None
    weights_sha256: str | None = None


def read_config(files: CheckpointFiles, card: DetectorCard | None) -> dict[str, Any] | None:
    """Return the parsed `config.json`, which is the pinned one where the card pins one.

    Raises:
        UntrustedWeights: It is missing, another one, or no JSON object.
    """
    pinned = None if card is None else card.config_sha256
    if files.config is None:
        if pinned is not None:
            raise UntrustedWeights(
                f"{files.weights.parent} has no config.json, which belongs to these weights; get it"
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
        raise UntrustedWeights(f"{files.config} is no JSON ({error}); get it again") from error
    if not isinstance(config, dict):
        raise UntrustedWeights(f"{files.config} holds no JSON object; get it again")
    return config


def read_toml_beside(files: CheckpointFiles) -> dict[str, Any]:
    """Return the parsed `detector.toml`; empty where there is none.

    Raises:
        ModelError: It cannot be read.
    """
    if files.settings is None:
        return {}
    try:
        return parse_toml(read_weights(files.settings))
    except ValueError as error:
        raise ModelError(f"{files.settings} cannot be read: {error}; correct it") from error


def folder_settings(values: dict[str, Any]) -> FolderSettings:
    """Return the settings that a parsed `detector.toml` states.

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
    """Return what a larger logit means: by registry, folder or caller; it is never guessed.

    Raises:
        ConfigError: The caller states another direction than the known one.
        ModelError: Nobody states it.
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
            ' config.json do not tell; put `positive = "fake"` into a detector.toml beside the'
            " weights, or give --positive fake (or real)"
        )
    return direction


def direction_of(value: object, what: str) -> Direction | None:
    """Return a direction that somebody stated; None where nobody did.

    Raises:
        ConfigError: It is neither `fake` nor `real`.
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
    """Return the name of the profile that a checkpoint was trained with."""
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
            f"detector.toml: layer_norm_eps = {epsilon!r}; expected a number from 0 to 0.001"
        )
    return epsilon
