"""Pictures for training the embedded detector: where they are, what is held out, their twins.

A source is the first folder below one of the given folders. The split goes by source (or by
generator, where a manifest names them), never by picture: what is held out shares no camera,
site or generator with what is learnt from. Nothing here looks at a score.
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
    """What a picture is for."""

    TRAIN = "train"
    VALIDATION = "validation"
    HELD_OUT = "held_out"


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One encoded picture with its class and the part of the split it belongs to."""

    path: Path
    source: str
    generator: str
    """What made it, from the manifest; the source where none says."""
    is_fake: bool
    part: Part
    held_out_as: str = ""
    """The name that held it out, under which its figures are reported."""
    licence: str = ""
    """Origin and licence, from the manifest; empty where none says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Twin:
    """A photo and the same photo through one autoencoder, encoded alike."""

    photo: Picture
    window: tuple[int, int, int, int]
    """The part of the photo that was reconstructed: left, top, right, bottom, px."""
    autoencoder: str
    raw: bytes
    short_px: int | None = None
    """Short edge to which the photo was reduced first; the window is in the reduced photo."""


def find_pictures(
    real: Sequence[Path],
    fake: Sequence[Path],
    *,
    manifests: Sequence[Path] = (),
    hold_out: Sequence[str] = (),
    validation_share: float = 0.15,
    seed: int = 0,
) -> list[Picture]:
    """All pictures below the folders, in path order, each with its part of the split.

    Args:
        real: Folders of photos; the first level below each names the source.
        fake: Folders of machine-made pictures, likewise.
        manifests: Tab-separated files with columns `path` (relative to the manifest) and
            `generator`, which refines a fake source into its generators; columns `source` and
            `licence` are carried into the card.
        hold_out: Sources or generators to keep away from training; `*` matches any characters.
        validation_share: Share of each remaining source that is used to choose, not to learn.
        seed: Draws the validation pictures.

    Raises:
        InputError: no photo or no machine-made picture is left to learn from, or a name to hold
            out matches nothing (a slip there would leak the test into the training).
    """
    rows = _read_manifests(manifests)
    pictures: list[Picture] = []
    used: set[str] = set()
    for folders, is_fake in ((real, False), (fake, True)):
        for path, source in _below(folders):
            row = rows.get(path.resolve(), {})
            generator = row.get("generator", source) if is_fake else source
            names = [n for n in hold_out if fnmatchcase(source, n) or fnmatchcase(generator, n)]
            used.update(names)
            part = Part.HELD_OUT if names else _part(source, path.name, validation_share, seed)
            pictures.append(
                Picture(
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
        known = sorted({p.source for p in pictures} | {p.generator for p in pictures})
        raise InputError(f"nothing to hold out is named {idle}; known: {', '.join(known)}")
    for is_fake, word in ((False, "photos"), (True, "machine-made pictures")):
        if not any(p.is_fake == is_fake and p.part is Part.TRAIN for p in pictures):
            raise InputError(f"no {word} left to learn from; name more folders or hold out less")
    return pictures


def make_twins(
    photos: Iterable[Picture],
    autoencoder: Autoencoder,
    cache_dir: Path,
    *,
    window_px: int | None = None,
    short_px: int | None = None,
    on_progress: Progress = lambda _line: None,
) -> list[Twin]:
    """The aligned fake of each photo; kept in `cache_dir`, so that each is computed once.

    With `window_px`, only a centred square of that side is done (a large decoder takes tens of
    seconds for a megapixel on a CPU). With `short_px`, photos are reduced to that short edge first:
    what is then reconstructed reaches scoring with its trace at full strength. Photos in a format
    that cannot be matched are left out and told to `on_progress`.
    """
    folder = cache_dir / autoencoder.weights_sha256[:12]
    folder.mkdir(parents=True, exist_ok=True)
    twins: list[Twin] = []
    for picture in photos:
        raw = picture.path.read_bytes()
        window = centred_window(picture.path, window_px, short_px)
        geometry = repr(window) if short_px is None else f"{window!r} of {short_px}"
        address = hashlib.sha256(raw + geometry.encode()).hexdigest()[:16]
        kept = folder / f"{address}.bin"
        if not kept.exists():
            try:
                made = aligned_fake(
                    raw, autoencoder, window=window, short_px=short_px, is_marked=False
                )
            except SynthError as error:
                on_progress(f"no twin of {picture.path.name}: {error}")
                continue
            partial = kept.with_suffix(".partial")
            partial.write_bytes(made.raw)
            partial.replace(kept)
            on_progress(f"{autoencoder.name}: {picture.path.name} at {made.psnr_db:.1f} dB")
        twins.append(
            Twin(
                photo=picture,
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
    """At most `side_px` a side, its corner on the 16 px grid of JPEG blocks; None: all of it."""
    with Image.open(path) as image:
        width, height = reduced_size(image.size, short_px)
    if side_px is None:
        return (0, 0, width, height)
    left = max(width - side_px, 0) // 2 // 16 * 16
    top = max(height - side_px, 0) // 2 // 16 * 16
    return (left, top, min(left + side_px, width), min(top + side_px, height))


def source_weights(pictures: Sequence[Picture]) -> np.ndarray:
    """Drawing odds, shape (N,), sum 1: between even by picture and even by source.

    The square root keeps a source of three pictures from being seen as often as one of ninety.
    """
    sizes: dict[str, int] = {}
    for picture in pictures:
        sizes[picture.generator] = sizes.get(picture.generator, 0) + 1
    odds = np.array([sizes[p.generator] ** -0.5 for p in pictures])
    weights: np.ndarray = odds / odds.sum()
    return weights


def _below(folders: Sequence[Path]) -> Iterable[tuple[Path, str]]:
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"{folder} is not a folder; name a folder of pictures")
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
