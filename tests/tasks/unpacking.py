"""Packed columns read by other means than the page's script."""

from __future__ import annotations

import base64
import gzip
from typing import Any

import numpy as np

from assay.tasks.pages.packed import Packed


def unpacked(packed: Packed) -> dict[str, Any]:
    """Return the columns by name: lists of texts, or arrays with one row per value."""
    raw = gzip.decompress(base64.b64decode(packed.data))
    columns: dict[str, Any] = {}
    for name, kind, width, n_bytes in packed.columns:
        part, raw = raw[:n_bytes], raw[n_bytes:]
        if kind == "text":
            columns[name] = part.decode("utf-8").split("\n")[:-1]
            continue
        planes = np.frombuffer(part, np.uint8).reshape(np.dtype(kind).itemsize, -1)
        columns[name] = np.frombuffer(planes.T.tobytes(), f"<{kind}").reshape(-1, width)
    assert raw == b""
    return columns
