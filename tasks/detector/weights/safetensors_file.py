"""Checks of a weights file: its format, its completeness and its hash.

Only safetensors is parsed, and only its header here. A pickle is recognised by its first bytes
and never opened, since unpickling runs code.
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
"""Bytes per number of the types of weights."""
FLOATS_AND_COUNTS: Final = FLOATS | {"I64": 8, "I32": 4, "U8": 1, "BOOL": 1}
"""Bytes per number, with the types of counters and index tables that some networks store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorInfo:
    """Entry of one tensor in a safetensors header."""

    dtype: str
    shape: tuple[int, ...]


def read_weights(path: Path) -> bytes:
    """Read the whole file once, so that the hashed bytes are the loaded ones.

    Raises:
        ModelError: The file cannot be read.
        UntrustedWeights: The file is larger than `MAX_WEIGHTS_BYTES`.
    """
    try:
        n_bytes = path.stat().st_size
        if n_bytes > MAX_WEIGHTS_BYTES:
            raise UntrustedWeights(
                f"{path} has {n_bytes:,} bytes; allowed are at most {MAX_WEIGHTS_BYTES:,}; name the"
                " file of a detector"
            )
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror or error}") from error


def sha256_of(raw: bytes) -> str:
    """Return the SHA-256 of bytes as 64 hex digits."""
    return hashlib.sha256(raw).hexdigest()


def check_hash(found_sha256: str, expected_sha256: str, what: str, *, do: str) -> None:
    """Refuse a file with another hash than the expected one.

    Args:
        found_sha256: Hash of the whole file.
        expected_sha256: Expected hash, or its first digits.
        what: Name of the file in the message.
        do: Advice at the end of the message.

    Raises:
        UntrustedWeights: The hash differs.
    """
    if not found_sha256.startswith(expected_sha256):
        raise UntrustedWeights(
            f"{what} has sha256 {found_sha256}, pinned is {expected_sha256}: it was changed or is"
            f" another file; {do}"
        )


def read_header(
    raw: bytes, what: str, *, item_bytes: Mapping[str, int] = FLOATS
) -> dict[str, TensorInfo]:
    """Return the types and shapes of the tensors in a safetensors file, and check its length.

    Args:
        raw: Bytes of the file.
        what: Name of the file in messages.
        item_bytes: Bytes per number of each accepted type.

    Returns:
        Type and shape of each tensor by name.

    Raises:
        UntrustedWeights: The file is a pickle, is truncated, or is no safetensors file.
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
            f"{what} is {state}: {len(raw)} bytes, its header states {8 + n_header + end};"
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
        raise UntrustedWeights(
            f"{what}: tensor {name} of shape {shape} has {end - start} bytes, which does not fit"
            " the shape; get the file again"
        )
    return TensorInfo(dtype=dtype, shape=shape), int(end)


def _refuse_pickle(raw: bytes, what: str) -> None:
    # PyTorch's files are zip archives of pickles, or, before 1.6, plain pickles.
    if raw.startswith(b"PK\x03\x04") or (raw[:1] == b"\x80" and raw[1:2] <= b"\x05"):
        raise UntrustedWeights(
            f"{what} is a pickle, despite its name; pickles can run code and are never"
            " opened: get the checkpoint in safetensors format"
        )
