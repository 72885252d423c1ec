"""Open files shared by many reads; a few stay open, keyed by the file's state and process.

Opening a large archive reads its whole directory, and a compressed one can only be read forward.
Items are read one by one and from several threads, so open files are shared here.
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
    """Byte stream that is read forward only."""

    def read1(self, n_bytes: int, /) -> bytes:
        """Return the bytes of one decompression step, at most `n_bytes`; b"" at the end."""


T = TypeVar("T")


class Handles(Generic[T]):
    """Cache of at most `n_kept` open objects; the least recently used one is dropped first.

    A dropped object must close itself after its last use, as files do when garbage-collected.
    """

    def __init__(self, n_kept: int = 4) -> None:
        self._n_kept = n_kept
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, T] = OrderedDict()
        # Streams of other libraries call Python to close, so they are dropped before it shuts down.
        atexit.register(self.clear)

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return the object under `key`; if missing, create it while other threads wait."""
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
        """Drop all objects."""
        with self._lock:
            self._kept.clear()


class WindowedStream:
    """Random reads from a forward-only stream, fast if offsets roughly increase.

    The last 32 MiB stay in memory for reads slightly out of order. A read further back restarts
    the stream.
    """

    def __init__(self, open_stream: Callable[[], ByteStream]) -> None:
        self._open_stream = open_stream
        self._lock = threading.Lock()
        self._stream: ByteStream | None = None
        self._steps: deque[bytes] = deque()
        self._start = self._end = 0
        self.n_opened = 0

    def read_at(self, offset: int, n_bytes: int) -> bytes:
        """Return up to `n_bytes` from `offset` of the decompressed bytes; fewer at the end.

        Raises:
            Exception: The stream's own exception for damaged data.
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
                self._stream = None  # its position is unknown
                raise

    def _read(self, stream: ByteStream, offset: int, n_bytes: int) -> bytes:
        found = bytearray()
        at = self._start
        for step in self._steps:
            wanted = offset + len(found) - at
            if wanted < len(step):
                found += step[wanted : wanted + n_bytes - len(found)]
            at += len(step)
        # `read` would collect several steps, and lose all of them if the last one is damaged.
        while len(found) < n_bytes and (step := stream.read1(_STEP_BYTES)):
            wanted = offset + len(found) - self._end
            if wanted < len(step):
                found += step[wanted : wanted + n_bytes - len(found)]
            self._steps.append(step)
            self._end += len(step)
            while self._end - self._start > _WINDOW_BYTES:
                self._start += len(self._steps.popleft())
        return bytes(found)
