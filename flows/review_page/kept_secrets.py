"""The signing key and the token of this machine's review pages, in files that only the user reads.

The key is kept so that sessions survive a restart of the server, and answers that a browser still
holds are taken. The token is kept so that its file can be named instead of printed.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Final

from ...data.cache import cache_folder
from ...data.errors import ConfigError
from ..process.private_file import read_private, write_private

TOKEN_VARIABLE: Final = "ASSAY_REVIEW_TOKEN"  # noqa: S105


def signing_key() -> bytes:
    """Return the key of this machine; created if it is missing.

    Raises:
        ConfigError: The file cannot be written.
    """
    return bytes.fromhex(_kept("signing-key", secrets.token_hex))


def token_of(file: Path | None, *, create: bool) -> tuple[str | None, str]:
    """Return the token of the login and the name of its place.

    In this order: the variable `ASSAY_REVIEW_TOKEN`, the file, a file of this machine.

    Args:
        file: File with the token.
        create: Whether a token is created where none is stated; without, there is none.

    Raises:
        ConfigError: The file cannot be read, is empty, or cannot be written.
    """
    stated = os.environ.get(TOKEN_VARIABLE)
    if stated:
        return stated, f"the variable {TOKEN_VARIABLE}"
    if file is not None:
        try:
            token = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeError) as error:
            raise ConfigError(f"the token cannot be read from {file}: {error}") from error
        if not token:
            raise ConfigError(f"{file} is empty; it must hold the token of the login")
        return token, str(file)
    if not create:
        return None, ""
    return _kept("token", lambda: secrets.token_urlsafe(24)), str(_folder() / "token")


def _folder() -> Path:
    return cache_folder("review-page")


def _kept(name: str, make: Callable[[], str]) -> str:
    file = _folder() / name
    try:
        kept = read_private(file)
        if kept is None:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_private(file, make())
            # Of two servers that start at once, both use what is in the file.
            kept = read_private(file)
    except OSError as error:
        raise ConfigError(
            f"{file} cannot be written: {error.strerror or error}; set ASSAY_CACHE to a folder"
            " that you own"
        ) from error
    if kept is None:
        raise ConfigError(f"{file} can be read by other users; remove it, a new one is created")
    return kept
