"""Look-up of 256-bit hashes within a Hamming distance, in memory.

Multi-index hashing (Norouzi, Punjani, Fleet 2012): two hashes that differ in at most 31 of 256 bits
differ in at most one bit of one of 16 bands of 16 bits. So a look-up compares the entries of 17
buckets per band, about one in 240 of evenly distributed hashes, and finds every match.

Hashes are kept in segments, each sorted once. Added ones make a segment of their own, and segments
of similar size are merged, so that an index is added to in any number of steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ...data.images.pdq import MATCH_BITS

_BANDS: Final = 16
_VALUES: Final = 2**16
# Bounds the memory of the comparisons to about 40 MB.
_CANDIDATES: Final = 2**20
_QUERIES: Final = 256

Words = NDArray[np.uint64]


def words_of(hashes: Sequence[str]) -> Words:
    """Return hashes of 64 hex digits as numbers, shape (N, 4).

    Raises:
        ValueError: A text is no hexadecimal number.
    """
    raw = np.frombuffer(bytes.fromhex("".join(hashes)), dtype=">u8")
    return raw.reshape(-1, 4).astype(np.uint64)


@dataclass(frozen=True, slots=True)
class _Segment:
    """Hashes in one sorted part.

    Attributes:
        words: Hashes, shape (N, 4).
        first: Number of the first hash in the whole index.
        order: Positions of the hashes by the value of each band, shape (16, N).
        begin: Begin of each value in `order`, shape (16, 65,537).
    """

    words: Words
    first: int
    order: NDArray[np.uint32]
    begin: NDArray[np.uint32]

    @classmethod
    def of(cls, words: Words, first: int) -> _Segment:
        bands = _bands(words)
        order = np.empty((_BANDS, len(words)), dtype=np.uint32)
        begin = np.zeros((_BANDS, _VALUES + 1), dtype=np.uint32)
        for band in range(_BANDS):
            order[band] = np.argsort(bands[:, band], kind="stable")
            counts = np.bincount(bands[:, band], minlength=_VALUES)
            np.cumsum(counts, out=begin[band, 1:], dtype=np.uint32)
        return cls(words, first, order, begin)

    def matches(self, wanted: Words, n_bits: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return pairs of positions, of a wanted hash and of a match, possibly repeated."""
        # Each band's own value, and the 16 that differ from it in one bit.
        flips = np.concatenate([[0], 1 << np.arange(16)]).astype(np.uint16)
        values = (_bands(wanted)[:, :, None] ^ flips).astype(np.int64)
        bands = np.arange(_BANDS)[None, :, None]
        begin = self.begin[bands, values].astype(np.int64)
        n = (self.begin[bands, values + 1].astype(np.int64) - begin).ravel()
        begin = (begin + bands * len(self.words)).ravel()
        per_query = _BANDS * len(flips)
        order = self.order.ravel()
        ends = np.cumsum(n)
        found = [(np.empty(0, np.int64), np.empty(0, np.int64))]
        start = 0
        while start < len(n):
            done = ends[start - 1] if start else 0
            stop = max(start + 1, int(np.searchsorted(ends, done + _CANDIDATES, "right")))
            size = n[start:stop]
            shift = begin[start:stop] - (ends[start:stop] - size - done)
            candidate = order[np.repeat(shift, size) + np.arange(size.sum())]
            asking = np.repeat(np.arange(start, stop) // per_query, size)
            near = self._near(candidate, wanted, asking, n_bits)
            found.append((asking[near], candidate[near].astype(np.int64) + self.first))
            start = stop
        return (
            np.concatenate([one for one, _ in found]),
            np.concatenate([other for _, other in found]),
        )

    def _near(
        self,
        candidate: NDArray[np.uint32],
        wanted: Words,
        asking: NDArray[np.int64],
        n_bits: int,
    ) -> NDArray[np.int64]:
        """Return the places of the candidates near to the hash that asks for them."""
        left = np.arange(len(candidate))
        distance = np.zeros(len(candidate), dtype=np.uint8)
        # Word by word: two of four leave hardly any candidate that is not a match.
        for word in range(4):
            differing = self.words[candidate[left], word] ^ wanted[asking[left], word]
            distance = distance + np.bitwise_count(differing)
            is_near = distance <= n_bits
            left, distance = left[is_near], distance[is_near]
        return left


class HashIndex:
    """Index of 256-bit hashes, numbered in the order in which they were added."""

    def __init__(self) -> None:
        self._segments: list[_Segment] = []
        self._n = 0

    @classmethod
    def of_numbers(cls, numbers: NDArray[np.uint32], n: int) -> HashIndex:
        """Return the index of n hashes with the arrays of `numbers`, which are not copied.

        Raises:
            ValueError: The arrays are those of another number of hashes.
        """
        words, order, begin = np.split(numbers, [8 * n, (8 + _BANDS) * n])
        index = cls()
        index._segments = [
            _Segment(
                words.view(np.uint64).reshape(n, 4),
                0,
                order.reshape(_BANDS, n),
                begin.reshape(_BANDS, _VALUES + 1),
            )
        ]
        index._n = n
        return index

    def copy(self) -> HashIndex:
        """Return an index with the same hashes; hashes added to one are not in the other."""
        other = HashIndex()
        other._segments, other._n = self._segments, self._n
        return other

    def numbers(self) -> NDArray[np.uint32]:
        """Return the arrays of the index as one segment, one after another."""
        segments = self._segments
        if len(segments) != 1:
            segments = [_Segment.of(np.concatenate([one.words for one in segments]), 0)]
        (one,) = segments
        return np.concatenate(
            [np.ascontiguousarray(one.words).view(np.uint32).ravel(), one.order, one.begin],
            axis=None,
        )

    def __len__(self) -> int:
        return self._n

    @property
    def n_bytes(self) -> int:
        """Memory of the index in bytes."""
        return sum(s.words.nbytes + s.order.nbytes + s.begin.nbytes for s in self._segments)

    def add(self, words: Words) -> None:
        """Add hashes; look-ups find them from then on.

        Args:
            words: Hashes, shape (N, 4), see `words_of`.
        """
        if not len(words):
            return
        segments, first = list(self._segments), self._n
        while segments and len(segments[-1].words) <= 2 * len(words):
            last = segments.pop()
            words, first = np.concatenate([last.words, words]), last.first
        # Exchanged at once, so that look-ups of other threads see the one or the other.
        self._segments = [*segments, _Segment.of(words, first)]
        self._n = first + len(words)

    def find(self, wanted: Words, *, n_bits: int = MATCH_BITS) -> list[NDArray[np.int64]]:
        """Return the numbers of the hashes near to each wanted one, ascending.

        Args:
            wanted: Hashes to look up, shape (N, 4).
            n_bits: Largest distance in bits, 0 to 31.

        Raises:
            ValueError: The distance is larger; more than one bit of each band may then differ.
        """
        if not 0 <= n_bits <= MATCH_BITS:
            raise ValueError(f"n_bits = {n_bits}; allowed: 0 to {MATCH_BITS}")
        segments = self._segments
        out: list[NDArray[np.int64]] = []
        for start in range(0, len(wanted), _QUERIES):
            some = wanted[start : start + _QUERIES]
            pairs = [segment.matches(some, n_bits) for segment in segments]
            asking = np.concatenate([np.empty(0, np.int64), *(one for one, _ in pairs)])
            number = np.concatenate([np.empty(0, np.int64), *(other for _, other in pairs)])
            out += [np.unique(number[asking == position]) for position in range(len(some))]
        return out


def _bands(words: Words) -> NDArray[np.uint16]:
    """Return the 16 bands of hashes, shape (N, 16)."""
    return np.ascontiguousarray(words).view(np.uint16).reshape(-1, _BANDS)
