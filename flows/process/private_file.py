"""Small files that only their owner may read: logins, tokens, signing keys."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path


def read_private(file: Path) -> str | None:
    """Return the content of a file that no other user can read or write, else None."""
    try:
        descriptor = os.open(file, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, encoding="utf-8") as opened:
        about = os.fstat(opened.fileno())
        owner = getattr(os, "getuid", lambda: about.st_uid)()
        if about.st_uid != owner or (os.name != "nt" and stat.S_IMODE(about.st_mode) & 0o077):
            return None
        return opened.read().strip() or None


def write_private(file: Path, text: str) -> None:
    """Write a file that only its owner may read, atomically."""
    unfinished = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
        opened.write(f"{text}\n")
    unfinished.replace(file)
