"""How pictures stream through a detector: which threads decode, which run the network.

On a CPU every thread does both, and the network has one thread for each: two such streams score
more pictures a second than one with two threads, and no core waits while another decodes.
On an accelerator threads decode ahead and one stream feeds the device full batches.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from ...data.errors import UnreadableImage
from ...data.image import DEFAULT_LIMITS, ImageLimits
from ...data.schema import Reason
from .backends import n_cores
from .preprocess import preprocess

if TYPE_CHECKING:
    from .detector import Detector

Pixels = NDArray[np.float32]
Prepare = Callable[[bytes], Pixels]

_OUT_OF_MEMORY: Final = ("out of memory", "can't allocate memory", "not enough memory", "bad_alloc")
_In = TypeVar("_In")
_Out = TypeVar("_Out")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """What became of one picture: a finite logit and its embedding (D,), or a reason."""

    image_id: str
    logit: float | None = None
    embedding: NDArray[np.float32] | None = None
    reason: Reason | None = None


def n_streams(n_workers: int | None = None) -> int:
    """Threads to use: as asked, or one for each core (OMP_NUM_THREADS counts)."""
    return max(1, n_workers or n_cores())


def score_stream(
    detector: Detector,
    images: Iterable[tuple[str, bytes]],
    *,
    n_workers: int | None = None,
    limits: ImageLimits = DEFAULT_LIMITS,
    prepare: Prepare | None = None,
) -> Iterator[list[Scored]]:
    """Score pictures in the order given, a few at a time; one `Scored` for each.

    Pictures are drawn from `images` as they are needed, a few for each thread ahead.

    Args:
        detector: To score with.
        images: Ids and encoded bytes.
        n_workers: Threads; see `n_streams`.
        limits: What decoding may cost.
        prepare: From bytes to pixels; default: the detector's profile.

    Raises:
        Whatever `images` raises. A picture that cannot be decoded raises nothing.
    """
    if prepare is None:
        profile = detector.profile

        def prepare(raw: bytes) -> Pixels:
            return preprocess(raw, profile, limits)

    streams = n_streams(n_workers)
    if detector.runner.device == "cpu":
        yield from _decode_and_forward(detector, images, prepare, streams)
    else:
        yield from _decode_ahead(detector, images, prepare, streams)


def _decode_and_forward(
    detector: Detector, images: Iterable[tuple[str, bytes]], prepare: Prepare, streams: int
) -> Iterator[list[Scored]]:
    def work(batch: Sequence[tuple[str, bytes]]) -> list[Scored]:
        return _forward(detector, [_prepared(item, prepare) for item in batch])

    with (
        detector.runner.streams(streams) as begin,
        ThreadPoolExecutor(streams, "assay-score", initializer=begin) as pool,
    ):
        jobs = _batches(images, detector.batch_images)
        yield from windowed(pool, work, jobs, n_ahead=2 * streams)


def _decode_ahead(
    detector: Detector, images: Iterable[tuple[str, bytes]], prepare: Prepare, streams: int
) -> Iterator[list[Scored]]:
    def work(item: tuple[str, bytes]) -> tuple[str, Pixels | Reason]:
        return _prepared(item, prepare)

    with ThreadPoolExecutor(streams, "assay-decode") as pool:
        ahead = 2 * detector.batch_images + streams
        ready = windowed(pool, work, images, n_ahead=ahead)
        while batch := list(islice(ready, detector.batch_images)):
            yield _forward(detector, batch)


def windowed(
    pool: ThreadPoolExecutor,
    work: Callable[[_In], _Out],
    jobs: Iterable[_In],
    *,
    n_ahead: int,
) -> Iterator[_Out]:
    """`pool.map` that draws at most `n_ahead` jobs before their results are taken."""
    waiting: deque[Future[_Out]] = deque()
    try:
        for job in jobs:
            waiting.append(pool.submit(work, job))
            if len(waiting) >= n_ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def _batches(items: Iterable[_In], size: int) -> Iterator[list[_In]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def _prepared(item: tuple[str, bytes], prepare: Prepare) -> tuple[str, Pixels | Reason]:
    image_id, raw = item
    try:
        return image_id, prepare(raw)
    except UnreadableImage as error:
        return image_id, error.reason
    except MemoryError:
        return image_id, Reason.OUT_OF_MEMORY


def _forward(detector: Detector, batch: Sequence[tuple[str, Pixels | Reason]]) -> list[Scored]:
    """One `Scored` for each of the batch, in its order."""
    usable = [pixels for _, pixels in batch if not isinstance(pixels, Reason)]
    results = iter(forward_in_parts(detector, usable))
    out = []
    for image_id, pixels in batch:
        found = pixels if isinstance(pixels, Reason) else next(results)
        if isinstance(found, Reason):
            out.append(Scored(image_id=image_id, reason=found))
        else:
            out.append(Scored(image_id=image_id, logit=found[0], embedding=found[1]))
    return out


def forward_in_parts(
    detector: Detector, pixels: Sequence[Pixels]
) -> list[tuple[float, Pixels] | Reason]:
    """Logit and embedding of each input; batches halve for good when memory runs out.

    An input that does not fit even alone gives `out_of_memory`, one whose logit is NaN or
    infinite `non_finite_logit`.
    """
    out: list[tuple[float, Pixels] | Reason] = []
    while len(out) < len(pixels):
        part = pixels[len(out) : len(out) + detector.batch_images]
        try:
            # A batch of one is the picture itself: nothing is copied.
            batch = part[0][None] if len(part) == 1 else np.stack(part)
            logits, embeddings = detector.forward(batch)
        except (MemoryError, RuntimeError) as error:
            if not _is_out_of_memory(error):
                raise
            detector.runner.free()
            if len(part) == 1:
                out.append(Reason.OUT_OF_MEMORY)
            else:
                detector.batch_images = max(1, len(part) // 2)
            continue
        for logit, embedding in zip(logits.tolist(), embeddings, strict=True):
            finite = np.isfinite(logit) and np.isfinite(embedding).all()
            out.append((logit, embedding) if finite else Reason.NON_FINITE_LOGIT)
    return out


def _is_out_of_memory(error: Exception) -> bool:
    # Only CUDA has a class of its own for it, which is a RuntimeError like all others' too.
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(words in text for words in _OUT_OF_MEMORY)


def bare_forward(detector: Detector, n_images: int, *, n_workers: int | None = None) -> float:
    """Images a second of the network alone, in the streams and batches that scoring uses.

    The measure that scoring from stored bytes is held against; nothing is read or decoded.
    """
    blank = np.zeros(detector.input_shape, dtype=np.float32)
    started_s = time.perf_counter()
    source = ((str(index), b"") for index in range(n_images))
    for _ in score_stream(detector, source, n_workers=n_workers, prepare=lambda _raw: blank):
        pass
    return n_images / (time.perf_counter() - started_s)
