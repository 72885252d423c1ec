"""What an adapter is trained on: pictures with captions, all read and checked before the work."""

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
"""Folder of pictures along the way, below the adapter's."""

Captioned = Sequence[tuple[Path, str]]
"""Pictures and their captions."""


def find_captioned(folder: Path, prompt: str, *, out: Path) -> Captioned:
    """Return the pictures of a folder with their captions, in name order.

    Hidden files and what trainings wrote are no pictures to learn from: the folder `out`, and
    every other below `folder` that holds an adapter or a training.

    Args:
        folder: Folder of pictures; a `.txt` of the same name holds a picture's caption.
        prompt: Caption of pictures that have none.
        out: Folder that the adapter is written to.

    Raises:
        ConfigError: The adapter would be written among the pictures.
        InputError: There are none, or a caption cannot be read.
    """
    if not _is_folder(folder):
        raise InputError(f"{folder} is not a folder; name a folder of pictures")
    if out.resolve() == folder.resolve():
        raise ConfigError(
            f"--out {out} is the folder of the pictures, which would be mixed with its samples; "
            "give another, such as a folder below it"
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
                raise InputError(f"{path} leads to no file; take it out, or put the picture there")
            pairs.append((path, _caption(path) or prompt))
    if not pairs:
        raise InputError(f"{folder} holds no pictures ({', '.join(sorted(SUFFIXES))})")
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
    """Refuse captions that the generator does not read to their end.

    Raises:
        InputError: One is too long, or the generator makes no picture of this size.
    """
    for caption in dict.fromkeys(caption for _, caption in pairs):
        try:
            generator.check(ImageRequest(prompt=caption, width_px=side_px, height_px=side_px))
        except SynthError as error:
            path = next(path for path, text in pairs if text == caption)
            raise InputError(f"{path}: {error}") from error


def pictures_sha256(pairs: Captioned, folder: Path) -> str:
    """Return one hash of all that is learnt from: names, contents and captions."""
    total = hashlib.sha256()
    for path, caption in pairs:
        name = path.relative_to(folder).as_posix().encode("utf-8", "surrogateescape")
        line = f"{file_sha256(path)} {hashlib.sha256(caption.encode()).hexdigest()}"
        total.update(hashlib.sha256(name).digest() + line.encode())
    return total.hexdigest()


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # such as a name that is too long
        return False


def make_folder(out: Path, *, base: Path) -> None:
    """Make the folder of the adapter, and be sure that it can be written to.

    Args:
        out: Folder of the adapter.
        base: Folder of the generator that is adapted, which is known by all weights below it.

    Raises:
        ConfigError: It is a file or lies in the base, or nothing can be written there.
    """
    if base.resolve() in {out.resolve(), *out.resolve().parents}:
        raise ConfigError(
            f"--out {out} lies in the folder of the base, which would be another generator with an "
            "adapter in it; give a folder elsewhere"
        )
    try:
        if out.exists() and not out.is_dir():
            raise ConfigError(f"--out {out} is a file; give a folder")
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out) as file:
            file.write(b"0")
    except OSError as error:
        raise ConfigError(f"--out {out} cannot be written to: {error}") from error
