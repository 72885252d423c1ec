"""Image classifier of timm or transformers in a folder: its card and config, checked.

The config is the library's own and is read as data. Keys that would run code, fetch a file or
open a pickle are refused here, before the library reads them.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, Final

from ....data.errors import ModelError, UntrustedWeights
from ....data.text.wording import shown
from .detector_card import FolderCard

# Parameters of timm.create_model that fetch or open files, or replace the network.
_NOT_FOR_TIMM: Final = frozenset(
    {
        "cache_dir",
        "checkpoint_path",
        "exportable",
        "model_name",
        "no_jit",
        "pretrained",
        "pretrained_cfg",
        "pretrained_cfg_overlay",
        "scriptable",
    }
)
# Keys of transformers' configs that run a repository's code or fetch other weights.
_NOT_FOR_TRANSFORMERS: Final = ("auto_map", "custom_pipelines", "use_pretrained_backbone")


@dataclass(frozen=True, slots=True, kw_only=True)
class LibraryClassifier:
    """Network that a library builds from a config, with one logit or two classes.

    Attributes:
        card: Card in the folder's `detector.toml`.
        architecture: Name of the architecture in timm, or `model_type` in transformers.
        config: Arguments of timm's architecture, or the whole config of transformers.
        config_sha256: Hash of `config.json`, or of the empty string where there is none.
    """

    card: FolderCard
    architecture: str
    config: dict[str, Any] = field(hash=False)
    config_sha256: str

    @property
    def image_px(self) -> int:
        """Side of the input in pixels."""
        return self.card.input.size_px

    @property
    def width(self) -> int | None:
        """Dimension of an embedding; None, since only the built network has it."""
        return None

    def describe(self) -> str:
        """Return a description of the network in one line."""
        output = self.card.output
        logit = (
            "one logit"
            if output.fake_index is None
            else f"two classes, logit {output.fake_index} minus {1 - output.fake_index}"
        )
        return f"{self.card.library} {self.architecture}: input {self.image_px} px, {logit}"

    def revision(self, weights_sha256: str) -> str:
        """Return 12 hex digits of the hash of everything but the profile that decides a logit."""
        output = self.card.output
        parts = (
            weights_sha256,
            self.card.library,
            self.architecture,
            self.config_sha256,
            repr((output.fake_index, output.head)),
        )
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def library_classifier(card: FolderCard, config_raw: bytes | None, what: str) -> LibraryClassifier:
    """Return the network that a card and the library's own config describe.

    Args:
        card: Card in the folder's `detector.toml`.
        config_raw: Bytes of `config.json`; None where there is none.
        what: Name of the folder in messages.

    Raises:
        ModelError: Card and config do not name the network, or contradict each other.
        UntrustedWeights: The config would run code, fetch weights or open a pickle.
    """
    config = _parsed(config_raw, what)
    make = _of_timm if card.library == "timm" else _of_transformers
    architecture, kept = make(card, config, what)
    return LibraryClassifier(
        card=card,
        architecture=architecture,
        config=kept,
        config_sha256=hashlib.sha256(config_raw or b"").hexdigest(),
    )


def _of_timm(card: FolderCard, config: dict[str, Any], what: str) -> tuple[str, dict[str, Any]]:
    configured = config.get("architecture")
    name = card.architecture or configured
    if not isinstance(name, str):
        raise ModelError(
            f"{what}: neither detector.toml nor config.json names the architecture of timm; add"
            ' architecture = "NAME" to detector.toml'
        )
    if configured not in {None, name}:
        raise ModelError(
            f"{what}: detector.toml says architecture = {name!r}, config.json {configured!r};"
            " correct whichever is wrong"
        )
    if ":" in name or "/" in name:
        raise UntrustedWeights(
            f"{what}: architecture {name!r} would be fetched; name one of timm's own"
        )
    arguments = config.get("model_args") or {}
    if not isinstance(arguments, dict):
        raise ModelError(f"{what}: config.json: model_args is no object; get the file again")
    if odd := sorted(_NOT_FOR_TIMM & arguments.keys()):
        raise UntrustedWeights(
            f"{what}: config.json: model_args.{odd[0]} would fetch or open another file; remove it"
        )
    for stated in (config.get("num_classes"), arguments.get("num_classes")):
        if stated not in {None, card.output.n_logits}:
            raise ModelError(_other_count(what, stated, card))
    arguments = {key: value for key, value in arguments.items() if key != "num_classes"}
    pool = config.get("global_pool")
    # The order that timm uses for its own repositories: model_args override global_pool.
    return name, ({"global_pool": pool} if isinstance(pool, str) else {}) | arguments


def _of_transformers(
    card: FolderCard, config: dict[str, Any], what: str
) -> tuple[str, dict[str, Any]]:
    if card.architecture is not None:
        raise ModelError(
            f"{what}: detector.toml: architecture is for timm; transformers takes it from"
            " config.json; remove it"
        )
    model_type = config.get("model_type")
    if not isinstance(model_type, str):
        raise ModelError(
            f"{what}: config.json lacks model_type; put transformers' own config.json beside the"
            " weights"
        )
    if odd := [key for key in _NOT_FOR_TRANSFORMERS if config.get(key)]:
        raise UntrustedWeights(
            f"{what}: config.json has {odd[0]}, which runs code or fetches other weights; code of"
            " a repository is never run"
        )
    if model_type == "timm_wrapper":
        raise ModelError(f'{what}: config.json describes a timm network; set library = "timm"')
    labels = config.get("id2label")
    # transformers' default is two labels.
    n_labels = len(labels) if isinstance(labels, dict) else config.get("num_labels", 2)
    if n_labels != card.output.n_logits:
        raise ModelError(_other_count(what, n_labels, card))
    return model_type, config


def _parsed(raw: bytes | None, what: str) -> dict[str, Any]:
    if raw is None:
        return {}
    try:
        config = json.loads(raw)
    except ValueError as error:
        raise ModelError(f"{what}: config.json is not JSON ({error}); get it again") from error
    if not isinstance(config, dict):
        raise ModelError(f"{what}: config.json is not a JSON object; get it again")
    return config


def _other_count(what: str, n_outputs: object, card: FolderCard) -> str:
    stated = "fake_index (two classes)" if card.output.n_logits == 2 else "positive (one logit)"
    number = f"{shown(n_outputs)} output" + ("" if n_outputs == 1 else "s")
    return (
        f"{what}: config.json describes a network with {number},"
        f" detector.toml states {stated}; a detector has one logit or two classes"
    )
