"""Dry runs of the trainings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...data.errors import InputError
from ...synth.training.lora import LoraSettings
from ...synth.training.lora_inputs import find_captioned
from .effects import Effect, Effects


def lora_effects(settings: LoraSettings) -> Effects:
    """Return the effects of fine-tuning a LoRA adapter.

    Args:
        settings: Settings of the training.

    Raises:
        InputError: The folder of images cannot be read, or an image has no caption.
    """
    pairs = find_captioned(settings.images, settings.prompt, out=settings.out)
    n_saved = -(-settings.steps // settings.save_every)
    return Effects(
        reads=[
            Effect(len(pairs), "captioned images", str(settings.images)),
            Effect(1, "generator", settings.base),
        ],
        writes=[
            Effect(1, "adapter and loss curve", str(settings.out)),
            Effect(n_saved, "checkpoints, samples", str(settings.out), at_most=True),
        ],
    )


def folder_effects(folders: Sequence[Path], out: Path, *, files: Sequence[Path] = ()) -> Effects:
    """Return the effects of training an embedded model on folders of images.

    Args:
        folders: Folders that are read with all subfolders.
        out: Folder of the checkpoint, its card and its figures.
        files: Other files that are read.

    Raises:
        InputError: A folder or a file does not exist.
    """
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"{folder} is not a folder; name a folder of images")
    for file in files:
        if not file.is_file():
            raise InputError(f"{file} is not a file; name an existing one")
    counts = {folder: sum(path.is_file() for path in folder.rglob("*")) for folder in folders}
    reads = [Effect(n_files, "files", str(folder)) for folder, n_files in counts.items()]
    return Effects(
        reads=[*reads, *(Effect(1, "file", str(file)) for file in files)],
        writes=[Effect(1, "checkpoint with card", str(out))],
    )
