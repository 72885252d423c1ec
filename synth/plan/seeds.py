"""Seeds of rows from the seed of a run, independent of the order of rows."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def row_key(**identity: Any) -> str:
    """Return the key of a row, 24 hex digits, from all that decides its pixels.

    Args:
        identity: JSON-ready values by name; their order does not matter.
    """
    text = json.dumps(identity, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def row_seed(run_seed: int, key: str) -> int:
    """Return the seed of a row, in [0, 2**63), independent of all other rows.

    Args:
        run_seed: Seed of the run.
        key: Key of the row.
    """
    digest = hashlib.sha256(f"{run_seed}/{key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
