"""The index of a lake's known hashes, kept on this machine and mapped from its file.

One folder has two files: the arrays of the index, and `state.json`, which names them and the data
files of the table that they cover. `state.json` is replaced last, so that it names whole arrays
even after a kill. Data files never change, so an index that covers some of the present ones is
valid for them, whatever happened to the lake.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ...data.cache import cache_folder
from ...data.store.local_files import LocalStore
from .index import HashIndex

FORMAT: Final = 1
MIN_ROWS: Final = 65_536
"""Number of hashes below which an index is read from the table, which takes milliseconds."""
_STATE: Final = "state.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Covered:
    """Hashes of a table at a version, as an index.

    Attributes:
        index: Index of the hashes.
        is_flag: Whether each hash flags, in the order of the index.
        version: Version of the table.
        files: Addresses of the table's data files at that version.
    """

    index: HashIndex
    is_flag: NDArray[np.bool_]
    version: int
    files: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _State:
    """Content of `state.json`."""

    format: int
    arrays: str
    version: int
    n: int
    files: list[str]


def open_kept(uri: str) -> Covered | None:
    """Return the index that is kept of a lake; None if there is none or its files are damaged.

    Args:
        uri: Address of the lake.
    """
    folder = _folder(uri)
    try:
        state = _State(**json.loads(LocalStore(folder).read(_STATE) or b"{}"))
        if state.format != FORMAT:
            return None
        numbers = np.load(folder / state.arrays, mmap_mode="r")
        index = HashIndex.of_numbers(numbers[: -state.n], state.n)
    except (OSError, ValueError, TypeError, EOFError):
        return None
    return Covered(
        index=index,
        is_flag=numbers[-state.n :] != 0,
        version=state.version,
        files=frozenset(state.files),
    )


def keep(uri: str, covered: Covered) -> None:
    """Keep an index on this machine, in place of an earlier one of the lake.

    A cache that cannot be written is worth no failure.

    Args:
        uri: Address of the lake.
        covered: Index with what it covers.
    """
    folder = _folder(uri)
    store = LocalStore(folder)
    state = _State(
        format=FORMAT,
        arrays=f"{secrets.token_hex(8)}.npy",
        version=covered.version,
        n=len(covered.index),
        files=sorted(covered.files),
    )
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        with store.creating(state.arrays) as out:
            flags = covered.is_flag.astype(np.uint32)
            np.save(out, np.concatenate([covered.index.numbers(), flags]))
        with store.creating(_STATE) as out:
            out.write(json.dumps(asdict(state)).encode())
        for file in folder.glob("*.npy"):
            # Windows cannot delete a file that another process has mapped; a later call does.
            if file.name != state.arrays:
                with contextlib.suppress(OSError):
                    file.unlink()


def _folder(uri: str) -> Path:
    return cache_folder("hashes", hashlib.sha256(uri.encode()).hexdigest()[:32])
