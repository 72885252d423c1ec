"""Dry runs of the commands that download, convert and quantise detectors."""

from __future__ import annotations

from pathlib import Path

from ...data.errors import ConfigError, InputError
from ...data.store.lake import Lake
from ...tasks.detector.inputs.profiles import Profile
from ...tasks.detector.selection.measurements import measurements_file
from ...tasks.detector.weights.checkpoint import Checkpoint, find_checkpoint
from ...tasks.detector.weights.hub import CONFIG, WEIGHTS, HubId, cache_root, is_cached
from ...tasks.detector.weights.int8_store import quantised_folder
from ...tasks.detector.weights.registry import card_by_name
from ..process.offline import offline
from .effects import Effect, Effects


def pull_effects(name: str, *, to: Path | None, source: Path | None) -> Effects:
    """Return the effects of downloading a registered detector.

    Args:
        name: Registered name.
        to: Folder of a copy, if any.
        source: Folder that supplies the files instead of the hub.

    Raises:
        ConfigError: The name is not registered, or its detector needs no download.
    """
    card = card_by_name(name)
    if card is None or card.repo is None:
        raise ConfigError(f"{name!r} cannot be pulled; assay models list prints the names")
    hub_id = HubId(repo=card.repo, revision=card.revision)
    files = [WEIGHTS] if card.config_sha256 is None else [WEIGHTS, CONFIG]
    is_here = source is None and is_cached(hub_id)
    origin = str(source) if source is not None else f"https://huggingface.co/{card.repo}"
    where = f"{cache_root(None)} (already there)" if is_here else origin
    writes = [] if is_here else [Effect(len(files), "files", str(cache_root(None)))]
    if to is not None:
        writes.append(Effect(len(files), "files", str(to)))
    return Effects(reads=[Effect(len(files), "files", where)], writes=writes)


def convert_effects(name: str, out: Path, *, positive: str | None) -> Effects:
    """Return the effects of converting a detector to the other layout.

    Args:
        name: Detector to convert.
        out: Folder of the result.
        positive: Class of a high logit, if given.

    Raises:
        ModelError: The detector is not on this machine, or cannot be trusted.
        InputError: The folder is not empty.
    """
    with offline():
        checkpoint = find_checkpoint(name, positive=positive)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} is not an empty folder; name a new one")
    return Effects(
        reads=[Effect(1, "detector", f"{checkpoint.detector_id} ({name})")],
        writes=[Effect(2, "files", str(out))],
    )


def quantise_effects(lake: Lake, checkpoint: Checkpoint, profile: Profile, *, n: int) -> Effects:
    """Return the effects of quantising a detector.

    Args:
        lake: Lake that supplies the images.
        checkpoint: Detector to quantise.
        profile: Preprocessing.
        n: Number of calibration images.
    """
    n_images = lake.n_rows("images")
    folder = quantised_folder(checkpoint.weights_sha256, profile)
    return Effects(
        reads=[
            Effect(min(n, n_images), "calibration images", lake.uri, at_most=True),
            Effect(min(200, max(n_images - n, 0)), "images for drift", lake.uri, at_most=True),
        ],
        writes=[Effect(1, "quantised network", str(folder))],
    )


def bench_effects(
    lake: Lake | None, checkpoint: Checkpoint, *, n_images: int, n_backends: int
) -> Effects:
    """Return the effects of measuring backends.

    Args:
        lake: Lake that supplies the images; None for generated test images.
        checkpoint: Detector to measure.
        n_images: Number of images of the lake.
        n_backends: Number of combinations of backend and precision.
    """
    file = measurements_file(checkpoint.weights_sha256)
    return Effects(
        reads=[] if lake is None else [Effect(n_images, "images", lake.uri)],
        writes=[Effect(n_backends, "measurements", str(file))],
    )
