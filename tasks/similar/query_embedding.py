"""Embedding of an image that is not in the lake, by the detector of the lake's embeddings."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...data.errors import AssayError, ConfigError, ModelError
from ...data.score_key import ScoreKey
from ..detector.inputs.preprocess import preprocess
from ..detector.load import load_detector
from ..detector.weights.by_key import checkpoint_of_key, name_in_key
from ..embeddings.neighbours import Vectors

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
    found_as, direction = name_in_key(key, name)
    wanted: dict[str, Any] = {"profile": key.profile.partition(":")[0], "positive": direction}
    advice = (
        "name the folder that has its weights (--detector FOLDER), or compare by perceptual hash"
        " alone (--by phash)"
    )
    try:
        checkpoint_of_key(key, name)
        try:
            # int8@... ends with the hash of the quantised weights.
            return load_detector(found_as, precision=key.precision.partition("@")[0], **wanted)
        except AssayError:
            return load_detector(found_as, **wanted)
    except (ConfigError, ModelError) as error:
        raise ModelError(
            f"the image is not in the lake, and the detector of the lake's embeddings cannot be"
            f" loaded: {error}; {advice}"
        ) from error
