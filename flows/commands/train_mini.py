"""`assay train-mini`: a small detector from folders of pictures."""

from __future__ import annotations

from pathlib import Path


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
) -> None:
    """Train the embedded detector on your own folders, with figures on sources it never saw.

    Args:
        real: Folder of photos; the first folder level below it names the source. Repeatable.
        fake: Folder of machine-made pictures, likewise. Repeatable.
        out: Folder for the checkpoint, its card and its figures.
        autoencoder: Diffusers folder that makes aligned fakes of the photos [default: a small
            one is fitted on them first]. Repeatable.
        unseen_autoencoder: Diffusers folder used for held-out figures only. Repeatable.
        manifest: TSV that names each picture's generator and licence. Repeatable.
        hold_out: Source or generator to learn nothing from; `*` matches any characters.
        minutes: Training time.
        seed: Seed of the split, the sampling and the training.
        cache: Folder that keeps reconstructed photos between trainings.
    """
    from ...data.commands import command
    from ...tasks.detector.training.train import MiniSettings
    from ...tasks.detector.training.train import train_mini as train
    from ..progress import say

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
    result = train(settings, on_progress=say)
    print(  # noqa: T201
        f"{result.out}: {result.n_parameters / 1e6:.1f} M parameters, {result.steps} steps in "
        f"{result.seconds:.0f} s\nsha256 {result.weights_sha256}\n"
        f"Read {result.out / 'README.md'}, then:"
        f" {command('moderate', 'SOURCE', detector=result.out)}"
    )
