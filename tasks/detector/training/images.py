"""Images for training the embedded detector: their folders, their split, their aligned fakes.

A source is the first folder below one of the given folders. The held-out part consists of whole
sources (or generators, where a manifest names them), so that it shares no camera, site or
generator with the training part. The split does not depend on scores.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
from PIL import Image

from ....data.errors import InputError, SynthError
from ....synth.autoencoder import Autoencoder
from ....synth.reconstruct import aligned_fake, reduced_size

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})
Progress = Callable[[str], None]


class Part(StrEnum):
    """Part of the split that an image belongs to."""

    TRAIN = "train"
    VALIDATION = "validation"
    HELD_OUT = "held_out"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingImage:
    """Encoded image with its class and its part of the split."""

    path: Path
    source: str
    generator: str
    """Generator of the image, from the manifest; the source where it names none."""
    is_fake: bool
    part: Part
    held_out_as: str = ""
    """Name in `hold_out` that matched, under which its figures are reported."""
    licence: str = ""
    """Origin and licence, from the manifest; empty where it states none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Twin:
    """Photo and its aligned fake: the same photo through one autoencoder, encoded alike."""

    photo: TrainingImage
    window: tuple[int, int, int, int]
    """Window of the photo that was reconstructed: left, top, right, bottom in pixels."""
    autoencoder: str
    raw: bytes
    short_px: int | None = None
    """Short edge to which the photo was reduced first; the window is in the reduced photo."""


def find_images(
    real: Sequence[Path],
    fake: Sequence[Path],
    *,
    manifests: Sequence[Path] = (),
    hold_out: Sequence[str] = (),
    validation_share: float = 0.15,
    seed: int = 0,
) -> list[TrainingImage]:
    """Find all images below the folders, in path order, with the part of the split of each.

    Args:
        real: Folders of photos; the first level below each names the source.
        fake: Folders of AI-generated images, with sources likewise.
        manifests: Tab-separated files with columns `path` (relative to the manifest) and
            `generator`, which divides a fake source into its generators; the card shows the
            columns `source` and `licence`.
        hold_out: Sources or generators kept out of the training; `*` matches any characters.
        validation_share: Share of each remaining source that selects the model.
        seed: Seed of the choice of validation images.

    Raises:
        InputError: A folder or a manifest's column is missing, a class has no image left to train
            on, or a name in `hold_out` matches nothing (a misspelt name would leak the test set
            into the training).
    """
    rows = _read_manifests(manifests)
    images: list[TrainingImage] = []
    used: set[str] = set()
    for folders, is_fake in ((real, False), (fake, True)):
        for path, source in _below(folders):
            row = rows.get(path.resolve(), {})
            generator = row.get("generator", source) if is_fake else source
            names = [n for n in hold_out if fnmatchcase(source, n) or fnmatchcase(generator, n)]
            used.update(names)
            part = Part.HELD_OUT if names else _part(source, path.name, validation_share, seed)
            images.append(
                TrainingImage(
                    path=path,
                    source=source,
                    generator=generator,
                    is_fake=is_fake,
                    part=part,
                    held_out_as=names[0] if names else "",
                    licence=", ".join(filter(None, (row.get("source"), row.get("licence")))),
                )
            )
    if idle := sorted(set(hold_out) - used):
        known = sorted({p.source for p in images} | {p.generator for p in images})
        raise InputError(
            f"hold_out: no source or generator is named {idle}; known: {', '.join(known)}"
        )
    for is_fake, word in ((False, "photos"), (True, "AI-generated images")):
        if not any(p.is_fake == is_fake and p.part is Part.TRAIN for p in images):
            raise InputError(f"no {word} left to train on; name more folders or hold out less")
    return images


def make_twins(
    photos: Iterable[TrainingImage],
    autoencoder: Autoencoder,
    cache_dir: Path,
    *,
    window_px: int | None = None,
    short_px: int | None = None,
    on_progress: Progress = lambda _line: None,
) -> list[Twin]:
    """Make the aligned fake of each photo; `cache_dir` keeps it, so that it is made once.

    Photos in a format that cannot be matched are omitted and reported to `on_progress`.

    Args:
        photos: Photos to reconstruct.
        autoencoder: Autoencoder to use.
        cache_dir: Folder of the aligned fakes.
        window_px: Side of the centred square that is reconstructed, since a large decoder takes
            tens of seconds per megapixel on a CPU; None: the whole photo.
        short_px: Short edge to which photos are reduced first, so that the trace reaches scoring
            at full strength; None: no reduction.
        on_progress: Function that receives one line of progress.
    """
    folder = cache_dir / autoencoder.weights_sha256[:12]
    folder.mkdir(parents=True, exist_ok=True)
    twins: list[Twin] = []
    for image in photos:
        raw = image.path.read_bytes()
        window = centred_window(image.path, window_px, short_px)
        geometry = repr(window) if short_px is None else f"{window!r} of {short_px}"
        address = hashlib.sha256(raw + geometry.encode()).hexdigest()[:16]
        kept = folder / f"{address}.bin"
        if not kept.exists():
            try:
                made = aligned_fake(
                    raw, autoencoder, window=window, short_px=short_px, is_marked=False
                )
            except SynthError as error:
                on_progress(f"no aligned fake of {image.path.name}: {error}")
                continue
            partial = kept.with_suffix(".partial")
            partial.write_bytes(made.raw)
            partial.replace(kept)
            on_progress(f"{autoencoder.name}: {image.path.name} at {made.psnr_db:.1f} dB")
        twins.append(
            Twin(
                photo=image,
                window=window,
                autoencoder=autoencoder.name,
                raw=kept.read_bytes(),
                short_px=short_px,
            )
        )
    return twins


def centred_window(
    path: Path, side_px: int | None, short_px: int | None = None
) -> tuple[int, int, int, int]:
    """Return a centred window with its corner on the 16 px grid of JPEG blocks.

    Args:
        path: Path of the image.
        side_px: Largest side of the window; None: the whole image.
        short_px: Short edge to which the image is reduced first; None: no reduction.

    Returns:
        Left, top, right and bottom in pixels.
    """
    with Image.open(path) as image:
        width, height = reduced_size(image.size, short_px)
    if side_px is None:
        return (0, 0, width, height)
    left = max(width - side_px, 0) // 2 // 16 * 16
    top = max(height - side_px, 0) // 2 // 16 * 16
    return (left, top, min(left + side_px, width), min(top + side_px, height))


def source_weights(images: Sequence[TrainingImage]) -> np.ndarray:
    """Return the probability of drawing each image, shape (N,), sum 1.

    The weight of an image is 1 / sqrt(size of its source), between equal weights per image and
    equal weights per source: a source of three images is drawn less often than one of ninety.
    """
    sizes: dict[str, int] = {}
    for image in images:
        sizes[image.generator] = sizes.get(image.generator, 0) + 1
    odds = np.array([sizes[p.generator] ** -0.5 for p in images])
    weights: np.ndarray = odds / odds.sum()
    return weights


def _below(folders: Sequence[Path]) -> Iterable[tuple[Path, str]]:
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"{folder} is not a folder; name a folder of images")
        for path in sorted(folder.rglob("*")):
            inside = path.relative_to(folder).parts
            if path.suffix.lower() in SUFFIXES and not any(p.startswith(".") for p in inside):
                yield path, inside[0] if len(inside) > 1 else folder.name


def _part(source: str, name: str, validation_share: float, seed: int) -> Part:
    digest = hashlib.sha256(f"{seed}/{source}/{name}".encode()).digest()
    share = int.from_bytes(digest[:4], "big") / 2**32
    return Part.VALIDATION if share < validation_share else Part.TRAIN


def _read_manifests(manifests: Sequence[Path]) -> dict[Path, dict[str, str]]:
    row_of: dict[Path, dict[str, str]] = {}
    for manifest in manifests:
        with manifest.open(encoding="utf-8", newline="") as lines:
            rows = csv.DictReader(lines, delimiter="\t")
            if not {"path", "generator"} <= set(rows.fieldnames or ()):
                raise InputError(f"{manifest} needs tab-separated columns path and generator")
            for row in rows:
                row_of[(manifest.parent / row["path"]).resolve()] = row
    return row_of
