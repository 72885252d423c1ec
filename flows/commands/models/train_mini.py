"""`assay train-mini`: a small detector trained on folders of images."""

from __future__ import annotations

from pathlib import Path

from ....data.text.wording import counted
from ...process.verbosity import is_quiet
from ..options import DryRun, print_effects


def train_mini(
    *,
    real: tuple[Path, ...],
    fake: tuple[Path, ...] = (),
    out: Path,
    autoencoder: tuple[Path, ...] = (),
    unseen_autoencoder: tuple[Path, ...] = (),
    manifest: tuple[Path, ...] = (),
    hold_out: tuple[str, ...] = (),
    minutes: float = 30.0,
    seed: int = 0,
    cache: Path | None = None,
    dry_run: DryRun = False,
) -> None:
    """Train the embedded detector on folders of images, and evaluate it on held-out sources.

    Args:
        real: Folder of photos; its first folder level names the source. Repeatable.
        fake: Folder of AI-generated images; its first folder level names the source. Repeatable.
        out: Folder for the checkpoint, its card and its figures.
        autoencoder: Diffusers folder that makes aligned fakes of the photos [default: a small
            one fitted on the photos]. Repeatable.
        unseen_autoencoder: Diffusers folder for held-out figures only. Repeatable.
        manifest: TSV file that names each image's generator and licence. Repeatable.
        hold_out: Source or generator excluded from training; `*` matches any characters.
        minutes: Training time in minutes.
        seed: Seed of the split, the sampling and the training.
        cache: Folder that keeps reconstructed photos between trainings.
        dry_run: Counts and paths of what would be read and written; nothing is changed.
    """
    from ....data.commands import command
    from ....tasks.detector.training.train import MiniSettings
    from ....tasks.detector.training.train import train_mini as train
    from ...progress import say

    settings = MiniSettings(
        real=real,
        fake=fake,
        out=out,
        autoencoders=autoencoder,
        unseen_autoencoders=unseen_autoencoder,
        manifests=manifest,
        hold_out=hold_out,
        minutes=minutes,
        seed=seed,
        cache_dir=cache,
    )
    if dry_run:
        from ...dry_run.training import folder_effects

        print_effects(folder_effects([*real, *fake], out, files=manifest))
        return
    result = train(settings, on_progress=say)
    text = (
        f"{result.out}: {result.n_parameters / 1e6:.1f} M parameters,"
        f" {counted(result.steps, 'step')} in {result.seconds:.0f} s\n"
        f"sha256 {result.weights_sha256}\n"
        f"card    {result.out / 'README.md'}\n"
        f"next\n  {command('moderate', 'SOURCE', detector=result.out)}"
    )
    print(result.out if is_quiet() else text)  # noqa: T201
