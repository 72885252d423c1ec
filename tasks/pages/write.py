"""Writing a page to a file of the user's: whole or not at all."""

from __future__ import annotations

from pathlib import Path

from ...data.store.files import write_whole
from ...data.store.local_files import LocalStore


def write_page(out: Path, page: bytes) -> str:
    """Write a page to a file, and return the file's absolute path.

    Raises:
        StoreError: It cannot be written.
    """
    out = out.absolute()
    return write_whole(LocalStore(out.parent), out.name, page)
