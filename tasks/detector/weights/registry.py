"""Registry of the named checkpoints and of the facts that pin them.

A card states what a checkpoint must be, including its hash; `checkpoint` and `architecture` check
the files against it. Nothing here reads a file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from ..inputs.profiles import DEFAULT_PROFILE

Layout = Literal["transformers", "timm"]
Direction = Literal["fake", "real"]

LABELS: Final[dict[Direction, str]] = {"fake": "AI-generated", "real": "real"}
"""Name of the only label in `config.json`, by the class that a larger logit means."""

DEFAULT_DETECTOR: Final = "community-forensics"
MINI_FOLDER: Final = Path(__file__).parents[1] / "mini"

HASH_DIGITS: Final = 64
"""Number of hexadecimal digits of a whole SHA-256; with fewer, weights are not pinned."""

# Hash of `mini/model.safetensors`; to be replaced after a new training.
MINI_SHA256: Final = "e4cd87900624e4e9884ca1771f1398985eba1f201e54a0a4bb572139d59301b4"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """Published figure of a checkpoint's quality, not measured by this project."""

    what: str
    value: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Golden:
    """Image with a known score, to check an installation with."""

    name: str
    image_sha256: str | None
    prob_fake: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorCard:
    """Card of one registered checkpoint.

    Attributes:
        name: Name for `--detector`, also the first part of `scores.detector`.
        repo: Hub repository; None for the embedded detector.
        revision: Commit, 40 hex digits; empty for the embedded detector.
        weights_sha256: Hash of `model.safetensors`, or its first digits where no more are
            published.
        config_sha256: Hash of `config.json`; None where the architecture needs no config.
        layout: Layout of the tensors; None where both are accepted.
        image_px: Side of the input; None where the checkpoint's own config states it.
        width: Dimension of the embedding; None where the tensors define it.
        depth: Number of blocks; None where the tensors define it.
        heads: Number of heads per block; None where the checkpoint's own config states it.
        layer_norm_eps: Epsilon of every norm; None where the pinned config or the layout
            defines it.
        positive: Class that a larger logit means.
        profile: Name of the preprocessing profile that the checkpoint was trained with.
        weights_licence: Licence of code and weights.
        data_licence: Licence of the training data.
        limits: Known errors of the detector, in a sentence.
        by_name: Whether the name alone loads it; otherwise only the full hub id does.
        n_bytes: Size of the weights file in bytes, where it is known.
        may_act_alone: Whether its score may decide without a person. No registered checkpoint has
            the error rates for that, so this stays False until one is calibrated.
        published: Published figures of its quality.
        golden: Images with known scores.
    """

    name: str
    repo: str | None
    revision: str
    weights_sha256: str
    config_sha256: str | None = None
    layout: Layout | None
    image_px: int | None = None
    width: int | None = None
    depth: int | None = None
    heads: int | None = None
    layer_norm_eps: float | None = None
    positive: Direction = "fake"
    profile: str = DEFAULT_PROFILE
    weights_licence: str
    data_licence: str
    limits: str
    by_name: bool = True
    n_bytes: int | None = None
    may_act_alone: bool = False
    published: tuple[Figure, ...] = ()
    golden: tuple[Golden, ...] = ()

    @property
    def detector_id(self) -> str:
        """Id of this checkpoint in `scores.detector`."""
        known_as = self.name if self.by_name else self.repo
        return f"{known_as}@{self.revision or self.weights_sha256[:12]}"


_AUTHORS_DATA: Final = "research only; parts CC-BY-NC-SA-4.0: commercial use is unresolved"
_AUTHORS_LIMITS: Final = (
    "Scores the whole image by its centre square: local edits and face swaps are at chance level;"
    " recall falls on newer generators and on images under 440 px; graphics and heavily"
    " processed photos are flagged too often."
)

_PAPER: Final = "the authors' dataset card, as summarised by third parties"
_AUTHORS_FIGURES: Final = (
    Figure(what="average precision, mean of five kinds of generator", value="0.984", source=_PAPER),
    Figure(what="average precision, GANs", value="0.995", source=_PAPER),
    Figure(what="average precision, latent diffusion", value="0.996", source=_PAPER),
    Figure(what="average precision, pixel diffusion", value="0.947", source=_PAPER),
    Figure(what="average precision, commercial generators", value="0.985", source=_PAPER),
    Figure(
        what="balanced accuracy at 0.65 on 36,384 newer images: clean, web, hard",
        value="0.758, 0.659, 0.565",
        source="Phineas1500/sieve-ai-image-detector",
    ),
    Figure(
        what="recall at 0.5 on local insertions into photos",
        value="0.004",
        source="third-party measurement",
    ),
)
# Five DALL-E 2 images of the authors' repository (test_images/) with their notebook's scores.
_AUTHORS_GOLDEN: Final = tuple(
    Golden(name=f"{name}.png", image_sha256=sha256, prob_fake=prob_fake)
    for name, sha256, prob_fake in (
        ("00000274", "43a7b37d75eac6a04ab0b7b75655b7f12ea97f5de5055f6025b078a6cf36ba09", 0.9988),
        ("00000420", "069af2f62865b68c3c0d5a7feb98667306b8b13836d136a7a1c304a2eb172f8b", 0.9878),
        ("00000845", "e3c1d98ae99c54e58546c92db007071913c698803435351a4bcf80efc223247e", 0.9569),
        ("00000916", "a4c434f68a4b8bf2ed6bb6f15b25c72ff8e159fd6c669ec0c35c29a96d0b05be", 0.9516),
        ("00000989", "cfe5ba7592ee9f0b3e04f80fc1f9df5081418a93e12bb1dc32d6d64eb361393a", 0.7860),
    )
)

CARDS: Final[tuple[DetectorCard, ...]] = (
    DetectorCard(
        name="community-forensics",
        repo="buildborderless/CommunityForensics-DeepfakeDet-ViT",
        revision="ac6ee457bea904a373065754107451793b56db00",
        weights_sha256="275ba982236ddd6afddf7131f8133e89f537574b964cf8fa5825b4956d741692",
        config_sha256="4b425d089842fecf8f25fc52aa44d09f49607ef89a0e2ff685ced6ec1c70e9b1",
        layout="transformers",
        image_px=384,
        width=384,
        depth=12,
        heads=6,
        weights_licence="MIT",
        data_licence=_AUTHORS_DATA,
        limits=_AUTHORS_LIMITS,
        n_bytes=87_270_764,
        published=_AUTHORS_FIGURES,
        golden=_AUTHORS_GOLDEN,
    ),
    DetectorCard(
        name="commfor-384",
        repo="OwensLab/commfor-model-384",
        revision="6076002bf0d9dd37537f965ee2f06f826c333b61",
        weights_sha256="b89f36275f3bf5e2b040eee36597a8f19db051bff9a473a9cf7b2466284fb387",
        layout="timm",
        image_px=384,
        width=384,
        depth=12,
        heads=6,
        weights_licence="MIT",
        data_licence=_AUTHORS_DATA,
        limits=_AUTHORS_LIMITS,
        n_bytes=87_262_324,
        published=_AUTHORS_FIGURES,
        golden=_AUTHORS_GOLDEN,
    ),
    DetectorCard(
        name="commfor-224",
        repo="OwensLab/commfor-model-224",
        revision="26afc31e6b40c312c3fd42c05a758be62446215b",
        weights_sha256="a6cc439d5a6d2dfadd60c77d27a2838ad55b34e601ecd30f46ad97266d6ac4e0",
        layout="timm",
        image_px=224,
        width=384,
        depth=12,
        heads=6,
        weights_licence="MIT",
        data_licence=_AUTHORS_DATA,
        limits=_AUTHORS_LIMITS,
        n_bytes=86_678_644,
    ),
    DetectorCard(
        name="mini",
        repo=None,
        revision="",
        weights_sha256=MINI_SHA256,
        layout="transformers",
        layer_norm_eps=1e-6,
        weights_licence="Apache-2.0",
        data_licence="see mini/README.md",
        limits="Enough to try the pipeline, not to moderate with.",
    ),
    # A third party's later fine-tune; only these digits of its hash are published.
    DetectorCard(
        name="frontier-2026-08",
        repo="Thermostatic/community-forensics-frontier-detector-2026-08",
        revision="16db135220b318d811b207db576d90368980b595",
        weights_sha256="2f445aec",
        layout=None,
        image_px=384,
        width=384,
        depth=12,
        heads=6,
        weights_licence="MIT",
        data_licence=_AUTHORS_DATA,
        limits="Its publisher's threshold is logit 1.359375 (probability 0.7957), not 0.5.",
        by_name=False,
    ),
)

# Revisions that load without an error and score wrongly: repository, first digits, reason.
KNOWN_BAD: Final[tuple[tuple[str, str, str], ...]] = (
    (
        "buildborderless/CommunityForensics-DeepfakeDet-ViT",
        "761adfb",
        "a broken port: its weights, config and preprocessing do not match each other",
    ),
)


def registered_names() -> tuple[str, ...]:
    """Return the registered names that `--detector` accepts."""
    return tuple(card.name for card in CARDS if card.by_name)


def card_by_name(name: str) -> DetectorCard | None:
    """Return the card with a registered name; None for other names."""
    return next((card for card in CARDS if card.by_name and card.name == name), None)


def cards_of_repo(repo: str) -> tuple[DetectorCard, ...]:
    """Return the cards of a hub repository; hub names are compared without case."""
    return tuple(c for c in CARDS if c.repo is not None and c.repo.lower() == repo.lower())


def card_by_weights(weights_sha256: str) -> DetectorCard | None:
    """Return the card with a full hash of the weights; None for other hashes."""
    return next((card for card in CARDS if card.weights_sha256 == weights_sha256), None)
