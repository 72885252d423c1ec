"""Short runs of bytes counted in a file by vector instructions, which is faster than `in`."""

from __future__ import annotations

import numpy as np


def n_marks(raw: bytes, mark: bytes) -> int:
    """Return how often a mark occurs in bytes, also where it overlaps itself.

    Args:
        raw: Bytes of a file.
        mark: 2 or 4 bytes.
    """
    length = len(mark)
    alignments = (
        np.frombuffer(raw, f"<u{length}", (len(raw) - at) // length, at)
        for at in range(min(length, len(raw) - length + 1))
    )
    word = int.from_bytes(mark, "little")
    return sum(int(np.count_nonzero(words == word)) for words in alignments)
