"""Whether a weights file is what it is said to be: kind, wholeness, hash.

Only safetensors is ever parsed, and of it only the header is read here; a pickle is told by
its first bytes and never opened, since opening one runs what it says.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ....data.errors import ModelError, UntrustedWeights

# A ViT-S has 87 MB, a ViT-L 1.2 GB.
MAX_WEIGHTS_BYTES: Final = 4 * 2**30
MAX_HEADER_BYTES: Final = 16 * 2**20

FLOATS: Final = {"F32": 4, "F16": 2, "BF16": 2}
"""Bytes per number of the types that weights have."""
FLOATS_AND_COUNTS: Final = FLOATS | {"I64": 8, "I32": 4, "U8": 1, "BOOL": 1}
"""The same, and of what networks with batch norms or index tables keep beside weights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorInfo:
    """One entry of a safetensors header."""

    dtype: str
    shape: tuple[int, ...]


def read_weights(path: Path) -> bytes:
    """The whole file, once: what is hashed is then what is loaded.

    Raises:
        ModelError: It cannot be read.
        UntrustedWeights: It is larger than any detector.
    """
    try:
        n_bytes = path.stat().st_size
        if n_bytes > MAX_WEIGHTS_BYTES:
            raise UntrustedWeights(
                f"{path} has {n_bytes} bytes; a detector has at most {MAX_WEIGHTS_BYTES}"
            )
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror or error}") from error


def sha256_of(raw: bytes) -> str:
    """64 hex digits."""
    return hashlib.sha256(raw).hexdigest()


def check_hash(found_sha256: str, expected_sha256: str, what: str, *, do: str) -> None:
    """Refuse a file that has not the promised hash.

    Args:
        found_sha256: Of the whole file.
        expected_sha256: All of the hash, or its first digits.
        what: Names the file in the message.
        do: Ends the message: what to do about it.

    Raises:
        UntrustedWeights: The hash is another.
    """
    if not found_sha256.startswith(expected_sha256):
        raise UntrustedWeights(
            f"{what} has sha256 {found_sha256}, pinned is {expected_sha256}: it was changed or is"
            f" another file; {do}"
        )


def read_header(
    raw: bytes, what: str, *, item_bytes: Mapping[str, int] = FLOATS
) -> dict[str, TensorInfo]:
    """Return names, types and shapes of the tensors in a safetensors file, checked to be whole.

    Args:
        raw: All bytes of the file.
        what: Name of the file in messages.
        item_bytes: Bytes per number, by each type that is accepted.

    Raises:
        UntrustedWeights: It is a pickle, is cut short, or is no safetensors file.
    """
    _refuse_pickle(raw, what)
    n_header = int.from_bytes(raw[:8], "little")
    if len(raw) < 8 or n_header > MAX_HEADER_BYTES:
        raise UntrustedWeights(
            f"{what} ({len(raw)} bytes) is no safetensors file: it begins with"
            f" {raw[:8].hex(' ') or 'nothing'}; get the checkpoint again in safetensors format"
        )
    try:
        header = json.loads(raw[8 : 8 + n_header])
        header.pop("__metadata__", None)
        infos, end = {}, 0
        for name, entry in header.items():
            infos[name], entry_end = _entry(name, entry, what, item_bytes)
            end = max(end, entry_end)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        cut = 8 + n_header > len(raw)
        raise UntrustedWeights(
            f"{what} is {'cut short' if cut else 'no safetensors file'}: its header of {n_header} "
            f"bytes cannot be read ({error}); get the file again"
        ) from error
    if 8 + n_header + end != len(raw):
        state = "cut short" if 8 + n_header + end > len(raw) else "longer than its header says"
        raise UntrustedWeights(
            f"{what} is {state}: {len(raw)} bytes, its header promises {8 + n_header + end};"
            " get the file again"
        )
    return infos


def _entry(
    name: str, entry: dict[str, Any], what: str, item_bytes: Mapping[str, int]
) -> tuple[TensorInfo, int]:
    dtype, (start, end) = str(entry["dtype"]), entry["data_offsets"]
    shape = tuple(int(n) for n in entry["shape"])
    if dtype not in item_bytes:
        raise UntrustedWeights(
            f"{what}: tensor {name} is of type {dtype}; accepted: {', '.join(item_bytes)}"
        )
    if min(shape, default=0) < 0 or end - start != math.prod(shape) * item_bytes[dtype]:
        raise UntrustedWeights(f"{what}: tensor {name} of {shape} has {end - start} bytes")
    return TensorInfo(dtype=dtype, shape=shape), int(end)


def _refuse_pickle(raw: bytes, what: str) -> None:
    # PyTorch's own files are zip archives of pickles, or, before 1.6, bare pickles.
    if raw.startswith(b"PK\x03\x04") or (raw[:1] == b"\x80" and raw[1:2] <= b"\x05"):
        raise UntrustedWeights(
            f"{what} is a pickle, whatever its name says; pickles can run code and are never"
            " opened: get the checkpoint in safetensors format"
        )
