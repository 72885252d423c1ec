"""Renditions and maps of the lake's images, kept in memory while they are likely to be shown."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Final

from ...data.errors import InputError, StoreError
from ...data.images.limits import DEFAULT_LIMITS, ImageLimits
from ...data.store.lake import Lake
from ...tasks.explain.attention import AttendingNetwork
from ...tasks.explain.explain import explain
from ...tasks.explain.overlay import draw_overlay
from ...tasks.latest_rows import last_judgement
from ...tasks.pages.renditions import SMALL, VIEW, ZOOM, Rendition, render_image

_KEPT_BYTES: Final = 192 * 2**20
_MAPS_BYTES: Final = 32 * 2**20
# An image that was forgotten is shown no longer than this.
_LOOK_AFTER_S: Final = 1.0
# Decoding takes up to 1 GiB per image; more at once would not be faster on a few cores.
_AT_ONCE: Final = 2


@dataclass(slots=True)
class _Waiting:
    done: threading.Event = field(default_factory=threading.Event)
    result: bytes | None = None
    error: Exception | None = None


class KeptBytes:
    """The results of a slow function, the last used ones, each made once at a time.

    Args:
        max_bytes: Size of all kept results together.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._kept: OrderedDict[Hashable, bytes] = OrderedDict()
        self._n_bytes = 0
        self._making: dict[Hashable, _Waiting] = {}
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], bytes]) -> bytes:
        """Return the kept result of a key, or make it; errors are passed on and not kept.

        Args:
            key: Key of the result.
            make: Function that makes the result; other threads that want it wait.
        """
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
            waiting = self._making.get(key)
            is_mine = waiting is None
            if waiting is None:
                waiting = self._making[key] = _Waiting()
        if is_mine:
            try:
                waiting.result = make()
            except Exception as error:
                waiting.error = error
                raise
            finally:
                with self._lock:
                    del self._making[key]
                    if waiting.result is not None:
                        self._keep(key, waiting.result)
                waiting.done.set()
        else:
            waiting.done.wait()
            if waiting.error is not None:
                raise waiting.error
        if waiting.result is None:
            raise RuntimeError(f"the result of {key!r} was interrupted")
        return waiting.result

    def drop(self, key: Hashable) -> None:
        """Drop the kept result of a key, if there is one."""
        with self._lock:
            self._n_bytes -= len(self._kept.pop(key, b""))

    def _keep(self, key: Hashable, result: bytes) -> None:
        self._kept[key] = result
        self._n_bytes += len(result)
        while self._n_bytes > self._max_bytes:
            _, dropped = self._kept.popitem(last=False)
            self._n_bytes -= len(dropped)


class ImageStore:
    """Images of a lake as the page shows them; threads share it.

    Args:
        lake: Lake of the images.
        limits: Size and memory limits of decoding.
    """

    def __init__(self, lake: Lake, *, limits: ImageLimits = DEFAULT_LIMITS) -> None:
        self._lake = lake
        self._limits = limits
        self._renditions = KeptBytes(_KEPT_BYTES)
        self._maps = KeptBytes(_MAPS_BYTES)
        self._decoding = threading.Semaphore(_AT_ONCE)
        self._explaining = threading.Lock()
        self._network: tuple[str, AttendingNetwork] | None = None

    def rendition(self, image_id: str, size: Rendition) -> bytes:
        """Return an image as JPEG.

        Args:
            image_id: Id of the image.
            size: Size and quality.

        Raises:
            StoreError: The lake has no such image, it was forgotten, or its bytes are missing or
                changed.
            UnreadableImage: The image cannot be decoded within the limits.
        """
        self._refuse_forgotten(image_id)

        def make() -> bytes:
            with self._decoding:
                return render_image(self._lake.image(image_id), size, limits=self._limits)

        return self._renditions.get((image_id, size), make)

    def overlay(self, image_id: str) -> bytes:
        """Return the map of an image's score as a PNG layer; see `draw_overlay`.

        The detector is that of the lake's last decisions. It is loaded at the first call.

        Args:
            image_id: Id of the image.

        Raises:
            ConfigError: The detector is no ViT of the built-in layouts, or is unknown.
            InputError: Nothing was scored in this lake.
            ModelError: The detector's files are not available or have changed.
            StoreError: The lake has no such image, it was forgotten, or its bytes are missing or
                changed.
            UnreadableImage: The image cannot be decoded within the limits.
        """
        self._refuse_forgotten(image_id)

        def make() -> bytes:
            from ...tasks.detector.weights.by_key import checkpoint_of_key

            last = last_judgement(self._lake)
            if last is None:
                raise InputError("nothing was scored in this lake, so that there is no map")
            raw = self._lake.image(image_id)
            # One at a time: the network holds its attention matrices in memory.
            with self._explaining:
                checkpoint, profile = checkpoint_of_key(last.key)
                digest = last.key.digest()
                if self._network is None or self._network[0] != digest:
                    self._network = digest, AttendingNetwork(checkpoint)
                found = explain(
                    raw, checkpoint, profile, limits=self._limits, network=self._network[1]
                )
            return draw_overlay(raw, found, profile, limits=self._limits)

        return self._maps.get(image_id, make)

    def _refuse_forgotten(self, image_id: str) -> None:
        if image_id not in self._lake.tombstones.ids(max_age_s=_LOOK_AFTER_S):
            return
        for size in (SMALL, VIEW, ZOOM):
            self._renditions.drop((image_id, size))
        self._maps.drop(image_id)
        raise StoreError(f"image {image_id} of {self._lake.uri} was forgotten, so it has no bytes")
