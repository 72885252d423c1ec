"""Embedding of an image that is not in the lake, by the detector of the lake's embeddings."""

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
    """Embedding of an image, shape (D,), with its probability and the precision of the pass."""

    vector: Vectors
    prob_fake: float | None
    precision: str


def embed_image(raw: bytes, key: ScoreKey, name: str | None = None) -> Embedded:
    """Run the detector of a key's embeddings on one image.

    Weights and preprocessing equal those of the key. The precision does too where this machine
    supports it; another one changes a cosine by about 0.001.

    Args:
        raw: Encoded bytes of the image.
        key: Score key of the embeddings, which names the detector to load.
        name: Folder of the checkpoint, where its id is neither registered nor on the hub.

    Raises:
        ModelError: The detector cannot be loaded by its name, or has other weights or another
            profile now.
        UnreadableImage: The image cannot be decoded.
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
    # The id of a registered detector is name@revision; a hub id loads unchanged.
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
            # int8@... ends with the hash of the quantised weights.
            return load_detector(tried, precision=key.precision.partition("@")[0], **wanted)
        except AssayError:
            return load_detector(tried, **wanted)
    except (ConfigError, ModelError) as error:
        raise ModelError(
            f"the image is not in the lake, and the detector of the lake's embeddings cannot be"
            f" loaded: {error}; {advice}"
        ) from error


def _check_same(checkpoint: Checkpoint, key: ScoreKey, name: str, profile: str) -> None:
    described = chosen_profile(profile, checkpoint).describe()
    if (checkpoint.weights_sha256, described) != (key.weights_sha256, key.profile):
        raise ModelError(
            f"{name} is {checkpoint.detector_id} with {described} now, and the lake's embeddings"
            f" are of {key.detector} with {key.profile}"
        )
