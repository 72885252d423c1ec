"""Open files that many reads share: a few are kept, keyed by the file's state and process.

Opening a large archive reads its whole directory, and a compressed one can be read in one
direction only; items are read one by one and from several threads, so what is open is
shared here.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from typing import Final, Generic, Protocol, TypeVar

_WINDOW_BYTES: Final = 32 * 2**20
_STEP_BYTES: Final = 2**18


class ByteStream(Protocol):
    """Bytes that come one way."""

    def read1(self, n_bytes: int, /) -> bytes:
        """What one step of unpacking gives, at most `n_bytes`; empty at the end."""


T = TypeVar("T")


class Handles(Generic[T]):
    """At most `n_kept` open things; the one unused for longest is let go first.

    What is let go must close itself when its last user is done with it, as files do.
    """

    def __init__(self, n_kept: int = 4) -> None:
        self._n_kept = n_kept
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, T] = OrderedDict()
        # Streams of other libraries close themselves by calling Python, which must still be there.
        atexit.register(self.clear)

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The thing kept under `key`; made now if there is none, while others wait."""
        owned = (os.getpid(), key)  # a forked child must not share its parent's file position
        with self._lock:
            found = self._kept.get(owned)
            if found is None:
                found = self._kept[owned] = make()
            self._kept.move_to_end(owned)
            while len(self._kept) > self._n_kept:
                self._kept.popitem(last=False)
        return found

    def clear(self) -> None:
        """Let everything go."""
        with self._lock:
            self._kept.clear()


class WindowedStream:
    """Random reads from bytes that come one way, cheap as long as they go roughly forward.

    The last 32 MiB stay in memory, so that threads may ask a little out of order; asking
    for what lies further back starts from the beginning.
    """

    def __init__(self, open_stream: Callable[[], ByteStream]) -> None:
        self._open_stream = open_stream
        self._lock = threading.Lock()
        self._stream: ByteStream | None = None
        self._steps: deque[bytes] = deque()
        self._start = self._end = 0
        self.n_opened = 0

    def read_at(self, offset: int, n_bytes: int) -> bytes:
        """Up to `n_bytes` from `offset` of the decompressed bytes; fewer at the end.

        Raises:
            Exception: Whatever the stream raises on damaged data.
        """
        with self._lock:
            if self._stream is None or offset < self._start:
                self._stream = None
                self._steps.clear()
                self._start = self._end = 0
                self.n_opened += 1
                self._stream = self._open_stream()
            try:
                return self._read(self._stream, offset, n_bytes)
            except BaseException:
                self._stream = None  # its position is unknown now
                raise

    def _read(self, stream: ByteStream, offset: int, n_bytes: int) -> bytes:
        found = bytearray()
        at = self._start
        for step in self._steps:
            wanted = offset + len(found) - at
            if wanted < len(step):
                found += step[wanted : wanted + n_bytes - len(found)]
            at += len(step)
        # `read` would gather several steps, and lose them all if the last one is damaged.
        while len(found) < n_bytes and (step := stream.read1(_STEP_BYTES)):
            wanted = offset + len(found) - self._end
            if wanted < len(step):
                found += step[wanted : wanted + n_bytes - len(found)]
            self._steps.append(step)
            self._end += len(step)
            while self._end - self._start > _WINDOW_BYTES:
                self._start += len(self._steps.popleft())
        return bytes(found)
