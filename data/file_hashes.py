"""SHA-256 hashes of files, computed once per state of a file.

A state is a file's path, size, times and inode. A file written less than 3 s ago is hashed on
every call, since a further write might leave the same times. Hashes of large files are stored in
the user's cache: hashing a generator's weights takes a minute.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from .cache import cache_folder

_KEPT_FROM_BYTES: Final = 64 * 2**20
_SETTLED_AFTER_S: Final = 3.0
_MAX_KEPT: Final = 1000

_known: dict[str, str] = {}


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as 64 hex digits.

    Raises:
        OSError: The file cannot be read.
    """
    status = path.stat()
    state = json.dumps(
        [str(path.resolve()), status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
    )
    is_settled = time.time() - max(status.st_mtime, status.st_ctime) > _SETTLED_AFTER_S
    is_kept = status.st_size >= _KEPT_FROM_BYTES
    if is_settled:
        if is_kept and state not in _known:
            _known.update(_kept())
        if state in _known:
            return _known[state]
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if is_settled:
        _known[state] = digest
        if is_kept:
            _keep(state, digest)
    return digest


def files_sha256(folder: Path, patterns: Iterable[str]) -> str:
    """Return one hash over paths and contents of a folder's files that match the glob patterns.

    Raises:
        OSError: A file cannot be read.
    """
    total = hashlib.sha256()
    for path in sorted({path for pattern in patterns for path in folder.glob(pattern)}):
        if path.is_file():
            name = path.relative_to(folder).as_posix()
            total.update(f"{name} {file_sha256(path)}\n".encode(errors="surrogateescape"))
    return total.hexdigest()


def _file() -> Path:
    return cache_folder("file_hashes.json")


def _kept() -> dict[str, str]:
    try:
        kept = json.loads(_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(k): str(v) for k, v in kept.items()} if isinstance(kept, dict) else {}


def _keep(state: str, digest: str) -> None:
    """Store a hash in the cache file; a cache that cannot be written is ignored."""
    with contextlib.suppress(OSError):
        file = _file()
        file.parent.mkdir(parents=True, exist_ok=True)
        kept = dict(list((_kept() | {state: digest}).items())[-_MAX_KEPT:])
        handle, name = tempfile.mkstemp(dir=file.parent, prefix=file.name)
        with os.fdopen(handle, "w", encoding="utf-8") as part:
            json.dump(kept, part)
        Path(name).replace(file)
