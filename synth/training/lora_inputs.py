"""Training data of an adapter: images with captions, read and checked before the first step."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ...data.errors import ConfigError, InputError, SynthError
from ...data.file_hashes import file_sha256
from ...data.text.unicode import decode_text
from ..generators.lora import WEIGHTS
from ..generators.protocol import Generator, ImageRequest
from .lora_state import STATE

SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp"})
SAMPLES: Final = "samples"
"""Name of the folder of sample images, below that of the adapter."""

Captioned = Sequence[tuple[Path, str]]
"""Paths of images, with their captions."""


def find_captioned(folder: Path, prompt: str, *, out: Path) -> Captioned:
    """Return the images of a folder with their captions, in name order.

    Hidden files and the output of trainings are left out: the folder `out`, and every other
    folder below `folder` that holds an adapter or a checkpoint.

    Args:
        folder: Folder of images; a `.txt` of the same name holds the caption of an image.
        prompt: Caption of images without a `.txt` file.
        out: Folder that the adapter is written to.

    Raises:
        ConfigError: `out` is the folder of the images itself.
        InputError: The folder has no images, a link is broken, or a caption cannot be read.
    """
    if not _is_folder(folder):
        raise InputError(f"{folder} is not a folder; give a folder of images")
    if out.resolve() == folder.resolve():
        raise ConfigError(
            f"--out {out} is the folder of the training images, and samples would be written among "
            "them; give another folder, such as one below it"
        )
    written = {out.resolve()} | {
        file.parent.resolve() for name in (STATE, WEIGHTS) for file in folder.rglob(name)
    }
    if folder.resolve() in written:
        written = written - {folder.resolve()} | {(folder / SAMPLES).resolve()}
    pairs = []
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if path.suffix.lower() not in SUFFIXES or path.is_dir():
            continue
        if any(part.startswith(".") for part in inside.parts):
            continue
        if written.isdisjoint(path.resolve().parents):
            if not path.is_file():
                raise InputError(f"{path} is a broken link; remove it, or restore its target")
            pairs.append((path, _caption(path) or prompt))
    if not pairs:
        raise InputError(f"{folder} has no images ({', '.join(sorted(SUFFIXES))})")
    return pairs


def _caption(path: Path) -> str:
    beside = path.with_suffix(".txt")
    if not os.path.lexists(beside):
        return ""
    try:
        return decode_text(beside.read_bytes()).strip()
    except (OSError, ValueError) as error:
        raise InputError(f"the caption {beside} cannot be read: {error}") from error


def check_captions(pairs: Captioned, generator: Generator, side_px: int) -> None:
    """Refuse captions that are longer than the generator reads.

    Args:
        pairs: Paths of images, with their captions.
        generator: Generator to adapt.
        side_px: Side of the square crops, in pixels.

    Raises:
        InputError: A caption is too long, or the generator does not support the size.
    """
    for caption in dict.fromkeys(caption for _, caption in pairs):
        try:
            generator.check(ImageRequest(prompt=caption, width_px=side_px, height_px=side_px))
        except SynthError as error:
            path = next(path for path, text in pairs if text == caption)
            raise InputError(f"{path}: {error}") from error


def images_sha256(pairs: Captioned, folder: Path) -> str:
    """Return the sha256 of all training data: names relative to `folder`, contents, captions."""
    total = hashlib.sha256()
    for path, caption in pairs:
        name = path.relative_to(folder).as_posix().encode("utf-8", "surrogateescape")
        line = f"{file_sha256(path)} {hashlib.sha256(caption.encode()).hexdigest()}"
        total.update(hashlib.sha256(name).digest() + line.encode())
    return total.hexdigest()


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # for example, a name that is too long
        return False


def make_folder(out: Path, *, base: Path) -> None:
    """Create the folder of the adapter and check that it is writable.

    Args:
        out: Folder of the adapter.
        base: Folder of the generator to adapt; its id covers all weights below the folder.

    Raises:
        ConfigError: `out` is a file, lies in `base`, or cannot be written to.
    """
    if base.resolve() in {out.resolve(), *out.resolve().parents}:
        raise ConfigError(
            f"--out {out} lies in the folder of the base, and an adapter in it would change the "
            "base's id; give a folder elsewhere"
        )
    try:
        if out.exists() and not out.is_dir():
            raise ConfigError(f"--out {out} is a file; give a folder")
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out) as file:
            file.write(b"0")
    except OSError as error:
        raise ConfigError(f"--out {out} cannot be written to: {error}") from error
