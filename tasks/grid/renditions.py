"""Small renditions of images for pages: a veil and a thumbnail, from a bounded store in memory.

Both are made from one reading. Requests that come together are read together, in the order of
storage, since neighbours lie in one row group of a shard.
"""

from __future__ import annotations

import contextlib
import io
import threading
from collections import OrderedDict
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final

from PIL import Image

from ...data.errors import StoreError, UnreadableImage
from ...data.images.decode import DISPLAY, decode_rgb
from ...data.store.lake import Lake

MAX_BYTES: Final = 64 * 2**20
THUMBNAIL_PX: Final = 320
_VEIL_PX: Final = 12
_QUALITY: Final = 70
_AT_ONCE: Final = 60
# An image that was forgotten is shown no longer than this.
_LOOK_AFTER_S: Final = 1.0
# Requests of pages that were left are not served before those of the page that is shown.
_MAX_WAITING: Final = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Renditions:
    """One image in two sizes, as WebP.

    Attributes:
        veil: Grey image of at most 12 x 12 px, which shows light and dark and no more.
        thumbnail: Image of at most `THUMBNAIL_PX`.
    """

    veil: bytes
    thumbnail: bytes


def renditions_of(raw: bytes) -> Renditions | None:
    """Return the renditions of an image, upright and over white; None if it cannot be decoded."""
    try:
        image = decode_rgb(raw, DISPLAY)
    except UnreadableImage:
        return None
    image.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.BICUBIC, reducing_gap=2.0)
    veil = image.convert("L")
    veil.thumbnail((_VEIL_PX, _VEIL_PX), Image.Resampling.BOX)
    return Renditions(veil=_webp(veil, 40), thumbnail=_webp(image, _QUALITY))


class RenditionStore:
    """Renditions of the images of a lake, the last used ones in memory.

    Thread-safe. One thread reads and decodes, so that one row group and one decoded image are in
    memory at a time.

    Args:
        lake: Lake of the images.
        max_bytes: Largest size of all renditions that are kept.
    """

    def __init__(self, lake: Lake, *, max_bytes: int = MAX_BYTES) -> None:
        self._lake = lake
        self._max_bytes = max_bytes
        self._kept: OrderedDict[str, Renditions | None] = OrderedDict()
        self._n_bytes = 0
        self._waiting: OrderedDict[str, Future[Renditions | None]] = OrderedDict()
        self._wake = threading.Condition()
        self._is_closing = False
        self._thread: threading.Thread | None = None

    def get(self, image_id: str, *, timeout_s: float = 30.0) -> Renditions | None:
        """Return the renditions of an image; None if the lake has none that can be decoded.

        Args:
            image_id: Id of the image.
            timeout_s: Longest time to wait, in seconds; after it the answer is None.

        Raises:
            StoreError: The table of forgotten images cannot be read.
        """
        if image_id in self._lake.tombstones.ids(max_age_s=_LOOK_AFTER_S):
            with self._wake:
                if image_id in self._kept:
                    self._n_bytes -= _size(self._kept.pop(image_id))
            return None
        (made,) = self._ask([image_id])
        with contextlib.suppress(TimeoutError):
            return made.result(timeout=timeout_s)
        return None

    def expect(self, image_ids: Iterable[str]) -> None:
        """Make renditions that are needed soon."""
        self._ask(image_ids)

    @property
    def n_bytes(self) -> int:
        """Size of all renditions that are kept."""
        return self._n_bytes

    def close(self) -> None:
        """Stop the thread after its present image; who waits gets None."""
        with self._wake:
            self._is_closing = True
            self._wake.notify_all()
        if self._thread is not None:
            self._thread.join()

    def _ask(self, image_ids: Iterable[str]) -> list[Future[Renditions | None]]:
        made = []
        with self._wake:
            for image_id in image_ids:
                if image_id in self._kept:
                    self._kept.move_to_end(image_id)
                    future: Future[Renditions | None] = Future()
                    future.set_result(self._kept[image_id])
                else:
                    future = self._waiting.setdefault(image_id, Future())
                    self._waiting.move_to_end(image_id)
                made.append(future)
            while len(self._waiting) > _MAX_WAITING:
                self._waiting.popitem(last=False)[1].set_result(None)
            if self._is_closing:
                self._drop_waiting()
            elif self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(
                    target=self._work, name="assay-renditions", daemon=True
                )
                self._thread.start()
            self._wake.notify_all()
        return made

    def _work(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._waiting or self._is_closing)
                if self._is_closing:
                    self._drop_waiting()
                    return
                # The page that was opened last is the one that is looked at.
                ids = list(self._waiting)[-_AT_ONCE:]
            self._make(ids)

    def _make(self, ids: list[str]) -> None:
        left = set(ids)
        try:
            for image_id, raw in self._lake.images(ids):
                self._keep(image_id, renditions_of(raw))
                left.discard(image_id)
                if self._is_closing:
                    return
        except StoreError:
            # An unknown image or a damaged shard costs its own renditions only.
            for image_id in sorted(left):
                with contextlib.suppress(StoreError):
                    self._keep(image_id, renditions_of(self._lake.image(image_id)))
                    left.discard(image_id)
                if self._is_closing:
                    return
        finally:
            # Not kept: the store may be reached the next time.
            for image_id in left:
                self._answer(image_id, None)

    def _keep(self, image_id: str, made: Renditions | None) -> None:
        """Keep renditions and answer who waits for them, at once: nobody asks in between."""
        with self._wake:
            if image_id in self._kept:
                self._n_bytes -= _size(self._kept.pop(image_id))
            self._kept[image_id] = made
            self._n_bytes += _size(made)
            while self._n_bytes > self._max_bytes and len(self._kept) > 1:
                self._n_bytes -= _size(self._kept.popitem(last=False)[1])
            self._answer(image_id, made)

    def _answer(self, image_id: str, made: Renditions | None) -> None:
        with self._wake:
            future = self._waiting.pop(image_id, None)
        if future is not None:
            future.set_result(made)

    def _drop_waiting(self) -> None:
        while self._waiting:
            self._waiting.popitem()[1].set_result(None)


def _size(made: Renditions | None) -> int:
    # Dictionary entry, id and objects, so that images without renditions are bounded too.
    return 400 + (0 if made is None else len(made.veil) + len(made.thumbnail))


def _webp(image: Image.Image, quality: int) -> bytes:
    out = io.BytesIO()
    image.save(out, "WEBP", quality=quality, method=2)
    return out.getvalue()
