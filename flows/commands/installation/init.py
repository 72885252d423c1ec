"""`assay init`: a settings file and a policy file to edit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from ....data.errors import ConfigError, StoreError
from ..options import DryRun, Flag, print_effects


def init(
    folder: Path = Path(),
    /,
    *,
    overwrite: Annotated[bool, Flag] = False,
    dry_run: DryRun = False,
) -> None:
    """Write an `assay.toml`, in which every setting is commented out, and a `policy.toml`.

    Args:
        folder: Folder of the files; created if missing.
        overwrite: Existing files are replaced.
        dry_run: Paths of what would be written; nothing is changed.

    Raises:
        ConfigError: A file exists already.
        StoreError: A file cannot be written.
    """
    from ....data.user_paths import from_home
    from ....tasks.decide.policy_file import PACKAGED_POLICY
    from ...settings.settings_file import NAME, template

    folder = from_home(folder)
    texts = {
        folder / NAME: template(),
        folder / "policy.toml": PACKAGED_POLICY.read_text(encoding="utf-8"),
    }
    there = [str(path) for path in texts if path.exists() or path.is_symlink()]
    if there and not overwrite:
        raise ConfigError(
            f"{' and '.join(there)} {'exists' if len(there) == 1 else 'exist'} already; name "
            "another folder, or pass --overwrite"
        )
    if dry_run:
        from ...dry_run.effects import Effect, Effects

        print_effects(Effects(writes=[Effect(1, "file", str(path)) for path in texts]))
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in texts.items():
            with path.open("w" if overwrite else "x", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        raise StoreError(
            f"{error.filename or folder}: cannot be written ({error.strerror})"
        ) from error
    print("\n".join(map(str, texts)))  # noqa: T201
