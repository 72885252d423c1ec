"""The one way in: from a name to a detector that is known to be what its name says.

The order is: what the name may stand for, where the files are, what kind they are, whether
their hash is the pinned one, whether tensors and config agree, which way the logit points.
Only then is anything loaded. Imports no model library until then.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...data.errors import ConfigError, ModelError, UntrustedWeights
from ...data.score_key import ScoreKey
from ...data.toml_file import parse_toml
from ...data.user_paths import from_home
from .backends.devices import AUTO_PRECISION, choose_precision, device_kind
from .backends.protocol import Backend, BackendName
from .inputs.profiles import DEFAULT_PROFILE, Profile, profile_for, profile_names
from .selection.choose_backend import candidates, choose
from .weights.architecture import Architecture, architecture_of, check_card
from .weights.hub import CheckpointFiles, HubId, files_from_hub, files_in_folder, parse_hub_id
from .weights.int8_store import Quantised, find_quantised
from .weights.registry import (
    DEFAULT_DETECTOR,
    MINI_FOLDER,
    DetectorCard,
    Direction,
    card_by_name,
    card_by_weights,
    cards_of_repo,
    registered_names,
)
from .weights.safetensors_file import check_hash, read_header, read_weights, sha256_of

if TYPE_CHECKING:
    import torch

    from .detector import Detector


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A checkpoint that passed every check, not loaded yet."""

    name: str
    detector_id: str
    weights_sha256: str
    raw_weights: bytes
    architecture: Architecture
    positive: Direction
    profile_name: str
    card: DetectorCard | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What tells one score from another: the detector, its weights, profile and precision."""

    detector_id: str
    weights_sha256: str
    profile: Profile
    precision: str

    @property
    def key(self) -> ScoreKey:
        """The same as the tables have it."""
        return ScoreKey(
            detector=self.detector_id,
            weights_sha256=self.weights_sha256,
            profile=self.profile.describe(),
            precision=self.precision,
        )


def identify(
    name: str = DEFAULT_DETECTOR,
    *,
    profile: str | None = None,
    precision: str = "auto",
    positive: str | None = None,
    cache_dir: str | Path | None = None,
) -> Identity:
    """What `load_detector` would give scores the name of; checks the files, imports no library.

    Raises:
        ConfigError: An argument is wrong.
        ModelError: The weights cannot be had or cannot be trusted.
    """
    checkpoint = find_checkpoint(name, positive=positive, cache_dir=cache_dir)
    prepared = chosen_profile(profile, checkpoint)
    wanted = AUTO_PRECISION if precision == "auto" else precision
    if wanted == "int8":
        wanted = find_quantised(
            checkpoint.weights_sha256, prepared, detector=checkpoint.name
        ).precision
    return Identity(
        detector_id=checkpoint.detector_id,
        weights_sha256=checkpoint.weights_sha256,
        profile=prepared,
        precision=wanted,
    )


def load_detector(
    name: str = DEFAULT_DETECTOR,
    *,
    profile: str | None = None,
    device: str = "auto",
    precision: str = "auto",
    backend: str = "auto",
    positive: str | None = None,
    cache_dir: str | Path | None = None,
    force_drift: bool = False,
) -> Detector:
    """Load a detector by registered name, hub id at a commit, or folder.

    Args:
        name: `community-forensics`, `commfor-384`, `commfor-224`, `mini`, an
            `org/name@<40 hex digits>`, or a folder with `model.safetensors`.
        profile: Preprocessing; default: the one that the checkpoint was trained with.
        device: `auto`, `cpu`, `cuda`, `cuda:1`, `mps`, `xpu`, `tpu`.
        precision: `auto`, `fp32`, `bf16`, `fp16`, `int8`.
        backend: `auto`, `torch`, `torch-compile`, `openvino`.
        positive: What a larger logit means, `fake` or `real`; for checkpoints that neither
            the registry nor a `detector.toml` beside the weights tells of.
        cache_dir: Of the hub; default: the hub's own, as its environment variables say.
        force_drift: Use a backend even where it moves scores further than it may.

    Raises:
        ConfigError: An argument is wrong, or the device is not there.
        ModelError: The weights cannot be had or cannot be trusted; nothing is used instead.
        GateRefused: The backend moves scores further than it may on this machine.
    """
    checkpoint = find_checkpoint(name, positive=positive, cache_dir=cache_dir)
    prepared = chosen_profile(profile, checkpoint)
    kind = device_kind(device)
    wanted = choose_precision(precision, kind)
    names = candidates(backend, wanted, kind)
    quantised = None
    if wanted == "int8":
        quantised = find_quantised(checkpoint.weights_sha256, prepared, detector=checkpoint.name)

    def make(backend_name: BackendName, number_format: str) -> Detector:
        return detector_on(
            checkpoint,
            prepared,
            make_backend(checkpoint, backend_name, device, number_format, quantised),
        )

    return choose(
        make,
        names,
        precision=wanted,
        label=quantised.precision if quantised else wanted,
        kind=kind,
        weights_sha256=checkpoint.weights_sha256,
        force=force_drift,
    )


def make_backend(
    checkpoint: Checkpoint,
    name: BackendName,
    device: str,
    precision: str,
    quantised: Quantised | None = None,
) -> Backend:
    """A checkpoint's network on one backend, loaded, whatever its drift.

    Args:
        checkpoint: Checked already.
        name: Of the backend.
        device: As for `load_detector`.
        precision: `fp32`, `bf16`, `fp16`, or `int8` with `quantised`.
        quantised: The quantised weights.
    """
    if name == "openvino":
        from .backends.openvino_cpu import OpenVinoBackend
        from .backends.openvino_graph import build_model

        if quantised is not None and precision == "int8":
            return OpenVinoBackend(quantised.model, precision=quantised.precision)
        graph = build_model(checkpoint.raw_weights, checkpoint.architecture, checkpoint.name)
        return OpenVinoBackend(graph, precision=precision)
    from .backends.devices import choose_device
    from .backends.network import build_network
    from .backends.pytorch import TorchBackend

    return TorchBackend(
        build_network(checkpoint.raw_weights, checkpoint.architecture, checkpoint.name),
        device=choose_device(device),
        precision=precision,
        compiled=name == "torch-compile",
    )


def detector_on(checkpoint: Checkpoint, profile: Profile, runner: Backend) -> Detector:
    """The detector of a checkpoint that a backend runs."""
    from .detector import Detector

    def build_module() -> torch.nn.Module:
        from .backends.network import build_network

        return build_network(checkpoint.raw_weights, checkpoint.architecture, checkpoint.name)

    return Detector(
        runner,
        detector_id=checkpoint.detector_id,
        weights_sha256=checkpoint.weights_sha256,
        profile=profile,
        architecture=checkpoint.architecture,
        build_module=build_module,
        positive=checkpoint.positive,
    )


def find_checkpoint(
    name: str, *, positive: str | None = None, cache_dir: str | Path | None = None
) -> Checkpoint:
    """Find and check a checkpoint without loading it; imports no model library.

    Raises:
        ConfigError: The name or `positive` is wrong.
        ModelError: The files cannot be had or cannot be trusted.
    """
    stated = _direction(positive, "positive")
    files, expected, known_as = _locate(name, cache_dir)
    raw = read_weights(files.weights)
    header = read_header(raw, str(files.weights))
    # By hash too, so that a copied folder of a registered checkpoint is that checkpoint.
    digest = sha256_of(raw)
    card = expected or card_by_weights(digest)
    config = _config(files, card)
    settings = _settings(files)
    if expected is not None:
        again = "put the right file back" if expected.repo is None else "delete it, get it again"
        check_hash(digest, expected.weights_sha256, str(files.weights), do=again)
    promised = settings.get("weights_sha256")
    if promised is not None:
        where = f"{files.weights} (by the detector.toml beside it)"
        check_hash(digest, str(promised), where, do="correct whichever is wrong")
    architecture = architecture_of(
        header,
        config,
        what=name,
        heads=_heads(settings),
        layer_norm_eps=_epsilon(settings),
        is_pinned=card is not None and card.config_sha256 is not None,
    )
    if card is not None:
        check_card(architecture, card, name)
    direction = _agreed_direction(name, stated, card, settings)
    base_id = card.detector_id if card else known_as or f"{_label(files)}@sha256:{digest[:12]}"
    return Checkpoint(
        name=name,
        # The direction decides every score, so scores of the other one must not count as these.
        detector_id=base_id if direction == "fake" else f"{base_id}+positive=real",
        weights_sha256=digest,
        raw_weights=raw,
        architecture=architecture,
        positive=direction,
        profile_name=_profile(settings, card),
        card=card,
    )


def chosen_profile(asked: str | None, checkpoint: Checkpoint) -> Profile:
    """The profile of that name, or the checkpoint's own, for its input.

    Raises:
        ConfigError: There is no profile of that name.
    """
    if asked is not None and asked not in profile_names():
        raise ConfigError(
            f"profile {asked!r} is unknown; choose one of: {', '.join(profile_names())}"
        )
    return profile_for(asked or checkpoint.profile_name, checkpoint.architecture.image_px)


def _locate(
    name: str, cache_dir: str | Path | None
) -> tuple[CheckpointFiles, DetectorCard | None, str | None]:
    """The files, the card that they must fit, and the id where there is no card."""
    card = card_by_name(name)
    if card is not None and card.repo is None:
        if not card.weights_sha256:
            raise ModelError(f"this build of assay has no {card.name} detector; install a release")
        return files_in_folder(MINI_FOLDER), card, None
    if card is not None and card.repo is not None:
        hub_id = HubId(repo=card.repo, revision=card.revision)
        return files_from_hub(hub_id, card=card, cache_dir=cache_dir), card, None
    folder = from_home(name)
    if folder.is_dir():
        return files_in_folder(folder), None, None
    found = parse_hub_id(name) if not name.startswith((".", "/", "~")) else None
    if found is not None:
        pinned = next((c for c in cards_of_repo(found.repo) if c.revision == found.revision), None)
        return files_from_hub(found, card=pinned, cache_dir=cache_dir), pinned, str(found)
    if "/" in name or "\\" in name:
        raise ModelError(f"there is no folder {name}; name a folder that holds a checkpoint")
    raise ConfigError(
        f"detector {name!r} is unknown; choose one of {', '.join(registered_names())}, a hub id"
        " org/name@<commit>, or a folder (./name)"
    )


def _config(files: CheckpointFiles, card: DetectorCard | None) -> dict[str, Any] | None:
    """The parsed `config.json`; the pinned one where the card pins one."""
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


def _settings(files: CheckpointFiles) -> dict[str, Any]:
    """What `detector.toml` beside the weights states: positive, profile, heads, weights_sha256."""
    if files.settings is None:
        return {}
    try:
        return parse_toml(read_weights(files.settings))
    except ValueError as error:
        raise ModelError(f"{files.settings} cannot be read: {error}; correct it") from error


def _heads(settings: dict[str, Any]) -> int | None:
    heads = settings.get("heads")
    if heads is not None and (not isinstance(heads, int) or isinstance(heads, bool) or heads < 1):
        raise ModelError(f"detector.toml: heads = {heads!r}; expected a whole number above 0")
    return heads


def _epsilon(settings: dict[str, Any]) -> float | None:
    epsilon = settings.get("layer_norm_eps")
    if epsilon is not None and not (isinstance(epsilon, float) and 0 < epsilon <= 1e-3):
        raise ModelError(
            f"detector.toml: layer_norm_eps = {epsilon!r}; expected a number from 0 to 0.001"
        )
    return epsilon


def _profile(settings: dict[str, Any], card: DetectorCard | None) -> str:
    name = settings.get("profile", card.profile if card else DEFAULT_PROFILE)
    if name not in profile_names():
        raise ModelError(
            f"detector.toml: profile = {name!r}; choose one of: {', '.join(profile_names())}"
        )
    return str(name)


def _agreed_direction(
    name: str, stated: Direction | None, card: DetectorCard | None, settings: dict[str, Any]
) -> Direction:
    """What a larger logit means: from the registry, the folder, or the caller; never guessed."""
    if card is not None:
        known: Direction | None = card.positive
    else:
        known = _direction(settings.get("positive"), "detector.toml: positive")
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


def _direction(value: object, what: str) -> Direction | None:
    match value:
        case None:
            return None
        case "fake":
            return "fake"
        case "real":
            return "real"
    raise ConfigError(f"{what} = {value!r}; choose fake or real")


def _label(files: CheckpointFiles) -> str:
    # "@" separates name and revision wherever ids are taken apart.
    return files.weights.parent.absolute().name.replace("@", "_") or "folder"
