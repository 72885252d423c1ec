"""Several equal devices as one backend: each batch goes to a device that is free."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from queue import SimpleQueue

from .protocol import BATCHES_PER_LANE, Backend, Embeddings, Images, Logits


class Lanes:
    """`Backend` of several devices, each with its own copy of the network and its own buffers.

    Names, precision and batch size are those of every lane, so a score does not tell which lane
    computed it.

    Args:
        lanes: Backends of one kind, one per device.
    """

    def __init__(self, lanes: Sequence[Backend]) -> None:
        first = lanes[0]
        self.name = first.name
        self.precision = first.precision
        self.device = first.device
        self.batch_images = first.batch_images
        self.n_lanes = len(lanes)
        # The network of gradients, which run on one device.
        self.module = getattr(first, "module", None)
        self._lanes = lanes
        self._free: SimpleQueue[Backend] = SimpleQueue()
        for _ in range(BATCHES_PER_LANE):
            for lane in lanes:
                self._free.put(lane)

    def run(self, images: Images) -> tuple[Logits, Embeddings]:
        """Return logits (N,) and embeddings (N, D) of N >= 1 inputs, from the next free lane.

        Raises:
            Exception: Any error of the lane, which stays in use.
        """
        lane = self._free.get()
        try:
            return lane.run(images)
        finally:
            self._free.put(lane)

    @contextlib.contextmanager
    def streams(self, n_streams: int) -> Iterator[Callable[[], None]]:
        """Yield the set-up call of each thread, which is the same for all lanes."""
        with self._lanes[0].streams(n_streams) as begin:
            yield begin

    def free(self) -> None:
        """Clear each device's cache of freed memory."""
        for lane in self._lanes:
            lane.free()
