"""The checkpoint behind a score key, found again by the names in the key."""

from __future__ import annotations

from ....data.errors import ModelError
from ....data.score_key import ScoreKey
from ....data.user_paths import from_home
from ..inputs.profiles import Profile
from .checkpoint import Checkpoint, chosen_profile, find_checkpoint


def name_in_key(key: ScoreKey, name: str | None = None) -> tuple[str, str | None]:
    """Return the name by which the detector of a key is found, and its stated direction.

    Args:
        key: Score key.
        name: Folder of the checkpoint, where its id is neither registered nor on the hub.
    """
    # The id of a registered detector is name@revision; a hub id loads unchanged.
    known_as, _, direction = key.detector.partition("+positive=")
    found_as = known_as if "/" in known_as else known_as.partition("@")[0]
    if name is not None and from_home(name).is_dir():
        found_as = name
    return found_as, direction or None


def checkpoint_of_key(key: ScoreKey, name: str | None = None) -> tuple[Checkpoint, Profile]:
    """Return the checkpoint and the preprocessing profile of a key.

    Args:
        key: Score key.
        name: Folder of the checkpoint, where its id is neither registered nor on the hub.

    Raises:
        ConfigError: The detector is unknown by its name.
        ModelError: The files are missing, or have other weights or another profile now.
    """
    found_as, direction = name_in_key(key, name)
    checkpoint = find_checkpoint(found_as, positive=direction)
    profile = chosen_profile(key.profile.partition(":")[0], checkpoint)
    if (checkpoint.weights_sha256, profile.describe()) != (key.weights_sha256, key.profile):
        raise ModelError(
            f"{found_as} is {checkpoint.detector_id} with {profile.describe()} now, and the lake's"
            f" scores are of {key.detector} with {key.profile}"
        )
    return checkpoint, profile
