"""Pages written atomically to files that users name."""

from __future__ import annotations

from pathlib import Path

from ...data.store.files import write_whole
from ...data.store.local_files import LocalStore


def write_page(out: Path, page: bytes) -> str:
    """Write a page to a file and return the absolute path of the file.

    Args:
        out: File to write; missing folders are created.
        page: Encoded page.

    Raises:
        StoreError: The file cannot be written.
    """
    out = out.absolute()
    return write_whole(LocalStore(out.parent), out.name, page)
