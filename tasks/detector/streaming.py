"""How images stream through a detector: which threads decode, which run the network.

On a CPU every thread does both, and the network has one thread for each: two such streams score
more images per second than one with two threads, and no core waits while another decodes.
On an accelerator threads decode ahead and one stream feeds the device full batches.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from ...data.errors import UnreadableImage
from ...data.images.inspect_image import DEFAULT_LIMITS, ImageLimits
from ...data.machine import n_cores
from ...data.schema import Reason
from ..work.ordered_map import ordered_map, weightless
from ..work.workers import workers
from .inputs.preprocess import preprocess

if TYPE_CHECKING:
    from .detector import Detector

Pixels = NDArray[np.float32]
Prepare = Callable[[bytes], Pixels]
# A finite logit and its embedding (D,), or why there is none; None where nothing was asked for.
Forwarded = tuple[float, Pixels] | Reason | None


_OUT_OF_MEMORY: Final = ("out of memory", "can't allocate memory", "not enough memory", "bad_alloc")
_In = TypeVar("_In")
_Out = TypeVar("_Out")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """What became of one image: a finite logit and its embedding (D,), or a reason."""

    image_id: str
    logit: float | None = None
    embedding: NDArray[np.float32] | None = None
    reason: Reason | None = None


def n_streams(n_workers: int | None = None) -> int:
    """Return the threads to use: as given, or one per core (OMP_NUM_THREADS counts)."""
    return max(1, n_workers or n_cores())


def score_stream(
    detector: Detector,
    images: Iterable[tuple[str, bytes]],
    *,
    n_workers: int | None = None,
    limits: ImageLimits = DEFAULT_LIMITS,
    prepare: Prepare | None = None,
) -> Iterator[list[Scored]]:
    """Score images in the order given, a few at a time; one `Scored` for each.

    Images are drawn from `images` as they are needed, a few for each thread ahead.

    Args:
        detector: Detector to score with.
        images: Ids and encoded bytes.
        n_workers: Threads; see `n_streams`.
        limits: Limits on what decoding may cost.
        prepare: Function from bytes to pixels; default: the detector's profile.

    Raises:
        Whatever `images` raises. An image that cannot be decoded raises nothing.
    """
    if prepare is None:
        profile = detector.profile

        def prepare(raw: bytes) -> Pixels:
            return preprocess(raw, profile, limits)

    def prepared(item: tuple[str, bytes]) -> tuple[str, Pixels | Reason]:
        image_id, raw = item
        try:
            return image_id, prepare(raw)
        except UnreadableImage as error:
            return image_id, error.reason
        except MemoryError:
            return image_id, Reason.OUT_OF_MEMORY

    for part in forward_stream(detector, images, prepared, n_workers=n_workers):
        yield [
            scored_as(image_id, forwarded) for image_id, forwarded in part if forwarded is not None
        ]


def scored_as(image_id: str, forwarded: tuple[float, Pixels] | Reason) -> Scored:
    """Return what became of an image that went through the network, or why it did not."""
    if isinstance(forwarded, Reason):
        return Scored(image_id=image_id, reason=forwarded)
    logit, embedding = forwarded
    # A detector without embeddings gives vectors of no length.
    has_embedding = embedding.size > 0
    return Scored(image_id=image_id, logit=logit, embedding=embedding if has_embedding else None)


def forward_stream(
    detector: Detector,
    jobs: Iterable[_In],
    prepare: Callable[[_In], tuple[_Out, Pixels | Reason | None]],
    *,
    n_workers: int | None = None,
    weigh: Callable[[_Out], int] = weightless,
) -> Iterator[list[tuple[_Out, Forwarded]]]:
    """Prepare jobs in threads and put the pixels that come of them through the network, in order.

    Args:
        detector: Detector whose network is used.
        jobs: Jobs, drawn as they are needed, a few for each thread ahead.
        prepare: Function from a job to whatever shall be given back with it, and its pixels. A
            reason instead of pixels, or None, goes past the network. Called in the threads.
        n_workers: Threads; see `n_streams`.
        weigh: Bytes that something given back holds on to; see `ordered_map`.

    Raises:
        Whatever `jobs` or `prepare` raise.
    """
    streams = n_streams(n_workers)
    stream = _decode_and_forward if detector.runner.device == "cpu" else _decode_ahead
    yield from stream(detector, jobs, prepare, streams, weigh)


def _decode_and_forward(
    detector: Detector,
    jobs: Iterable[_In],
    prepare: Callable[[_In], tuple[_Out, Pixels | Reason | None]],
    streams: int,
    weigh: Callable[[_Out], int] = weightless,
) -> Iterator[list[tuple[_Out, Forwarded]]]:
    def work(batch: Sequence[_In]) -> list[tuple[_Out, Forwarded]]:
        return _forward(detector, [prepare(job) for job in batch])

    def weight(done: list[tuple[_Out, Forwarded]]) -> int:
        return sum(weigh(out) for out, _ in done)

    with (
        detector.runner.streams(streams) as begin,
        workers(streams, "assay-score", begin) as pool,
    ):
        batches = _batches(jobs, detector.batch_images)
        # Enough for the threads to go on while what is done is committed.
        yield from ordered_map(pool, work, batches, n_ahead=4 * streams, weigh=weight)


def _decode_ahead(
    detector: Detector,
    jobs: Iterable[_In],
    prepare: Callable[[_In], tuple[_Out, Pixels | Reason | None]],
    streams: int,
    weigh: Callable[[_Out], int] = weightless,
) -> Iterator[list[tuple[_Out, Forwarded]]]:
    def weight(done: tuple[_Out, Pixels | Reason | None]) -> int:
        return weigh(done[0])

    with workers(streams, "assay-decode") as pool:
        ahead = 2 * detector.batch_images + streams
        ready = ordered_map(pool, prepare, jobs, n_ahead=ahead, weigh=weight)
        while batch := list(islice(ready, detector.batch_images)):
            yield _forward(detector, batch)


def _batches(items: Iterable[_In], size: int) -> Iterator[list[_In]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def _forward(
    detector: Detector, batch: Sequence[tuple[_Out, Pixels | Reason | None]]
) -> list[tuple[_Out, Forwarded]]:
    """Return what the network made of each job of a batch, in its order."""
    usable = [pixels for _, pixels in batch if isinstance(pixels, np.ndarray)]
    results = iter(forward_in_parts(detector, usable))
    return [
        (out, next(results) if isinstance(pixels, np.ndarray) else pixels) for out, pixels in batch
    ]


def forward_in_parts(
    detector: Detector, pixels: Sequence[Pixels]
) -> list[tuple[float, Pixels] | Reason]:
    """Return logit and embedding of each input; batches halve for good when memory runs out.

    An input that does not fit even alone gives `out_of_memory`, one whose logit is NaN or
    infinite `non_finite_logit`.
    """
    out: list[tuple[float, Pixels] | Reason] = []
    while len(out) < len(pixels):
        part = pixels[len(out) : len(out) + detector.batch_images]
        try:
            # A batch of one is the image itself: nothing is copied.
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
            is_finite = np.isfinite(logit) and np.isfinite(embedding).all()
            out.append((logit, embedding) if is_finite else Reason.NON_FINITE_LOGIT)
    return out


def _is_out_of_memory(error: Exception) -> bool:
    # Only CUDA has a class of its own for it, which is a RuntimeError like all others' too.
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(words in text for words in _OUT_OF_MEMORY)


def bare_forward(detector: Detector, n_images: int, *, n_workers: int | None = None) -> float:
    """Measure images per second of the network alone, in the streams and batches that scoring uses.

    The measure that scoring from stored bytes is held against; nothing is read or decoded.
    """
    blank = np.zeros(detector.input_shape, dtype=np.float32)
    started_s = time.perf_counter()
    source = ((str(index), b"") for index in range(n_images))
    for _ in score_stream(detector, source, n_workers=n_workers, prepare=lambda _raw: blank):
        pass
    return n_images / (time.perf_counter() - started_s)
