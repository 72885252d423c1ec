"""The embedding of a picture that is not in the lake, made as the lake's were."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...data.errors import AssayError, ConfigError, ModelError
from ...data.score_key import ScoreKey
from ...data.user_paths import from_home
from ..detector.inputs.preprocess import preprocess
from ..detector.load import load_detector
from ..detector.weights.checkpoint import Checkpoint, chosen_profile, find_checkpoint
from .neighbours import Vectors

if TYPE_CHECKING:
    from ..detector.detector import Detector


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """A picture's embedding, shape (D,), its score, and the number format of the pass."""

    vector: Vectors
    prob_fake: float | None
    precision: str


def embed_picture(raw: bytes, key: ScoreKey, name: str | None = None) -> Embedded:
    """Run the detector that made the embeddings under a key on one picture.

    The weights and the preprocessing are exactly theirs. The number format is too where this
    machine has it, else this machine's own: that moves a cosine by about a thousandth.

    Args:
        raw: The encoded picture.
        key: Key of the embeddings; names the detector to load.
        name: A checkpoint's folder, where its id leads to neither the registry nor the hub.

    Raises:
        ModelError: The detector cannot be had by that name, or is another one by now.
        UnreadableImage: The picture cannot be decoded.
    """
    detector = _load(key, name)
    pixels = preprocess(raw, detector.profile)
    logits, embeddings = detector.forward(pixels[None])
    logit = float(logits[0])
    return Embedded(
        vector=embeddings[0],
        prob_fake=(1 + math.tanh(logit / 2)) / 2 if math.isfinite(logit) else None,
        precision=detector.precision,
    )


def _load(key: ScoreKey, name: str | None) -> Detector:
    # Ids of registered detectors are name@revision; those of the hub load as they are.
    known_as, _, direction = key.detector.partition("+positive=")
    tried = known_as if "/" in known_as else known_as.partition("@")[0]
    if name is not None and from_home(name).is_dir():
        tried = name
    profile = key.profile.partition(":")[0]
    wanted: dict[str, Any] = {"profile": profile, "positive": direction or None}
    advice = (
        "name the folder that has its weights (--detector FOLDER), or compare by perceptual hash"
        " alone (--by phash)"
    )
    try:
        _check_same(find_checkpoint(tried, positive=wanted["positive"]), key, tried, profile)
        try:
            # The rest of an int8 format's name is the hash of its weights.
            return load_detector(tried, precision=key.precision.partition("@")[0], **wanted)
        except AssayError:
            return load_detector(tried, **wanted)
    except (ConfigError, ModelError) as error:
        raise ModelError(
            f"the picture is not in the lake, and what made the lake's embeddings cannot be"
            f" loaded: {error}; {advice}"
        ) from error


def _check_same(checkpoint: Checkpoint, key: ScoreKey, name: str, profile: str) -> None:
    described = chosen_profile(profile, checkpoint).describe()
    if (checkpoint.weights_sha256, described) != (key.weights_sha256, key.profile):
        raise ModelError(
            f"{name} is {checkpoint.detector_id} with {described} now, and the lake's are of"
            f" {key.detector} with {key.profile}"
        )
