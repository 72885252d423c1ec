"""One seed per row from one seed per run: the same row draws the same, wherever it stands."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def row_key(**identity: Any) -> str:
    """Return a name for one picture to be made, 24 hex digits, from all that decides its pixels.

    Args:
        identity: JSON-ready values; their order does not matter.
    """
    text = json.dumps(identity, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def row_seed(run_seed: int, key: str) -> int:
    """Return the row's own seed, in [0, 2**63), independent of every other row's."""
    digest = hashlib.sha256(f"{run_seed}/{key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
