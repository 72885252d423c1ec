"""Streams of images through a detector: which threads decode and which run the network.

On a CPU every thread decodes and runs the network on one core: two such streams score more images
per second than one stream with two threads, and no core waits while another decodes.
On accelerators, threads decode ahead, and each full batch goes to the lane of a free device.
Either way results are in the order of the jobs.
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
from ...data.vocabulary import Reason
from ..work.ordered_map import ordered_map, weightless
from ..work.workers import workers
from .backends.protocol import BATCHES_PER_LANE
from .inputs.preprocess import preprocess

if TYPE_CHECKING:
    from .detector import Detector

Pixels = NDArray[np.float32]
Prepare = Callable[[bytes], Pixels]
# Finite logit and embedding (D,); the reason where there is none; None for a job without pixels.
Forwarded = tuple[float, Pixels] | Reason | None

_OUT_OF_MEMORY: Final = ("out of memory", "can't allocate memory", "not enough memory", "bad_alloc")
_In = TypeVar("_In")
_Out = TypeVar("_Out")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """Result of one image: a finite logit and its embedding (D,), or the reason of the failure."""

    image_id: str
    logit: float | None = None
    embedding: NDArray[np.float32] | None = None
    reason: Reason | None = None


def n_streams(n_workers: int | None = None) -> int:
    """Return the number of threads: `n_workers`, or one per core (see `n_cores`)."""
    return max(1, n_workers or n_cores())


def score_stream(
    detector: Detector,
    images: Iterable[tuple[str, bytes]],
    *,
    n_workers: int | None = None,
    limits: ImageLimits = DEFAULT_LIMITS,
    prepare: Prepare | None = None,
) -> Iterator[list[Scored]]:
    """Score images in the order given; yield the results in lists, one `Scored` per image.

    `images` is read lazily, a few images per thread ahead.

    Args:
        detector: Detector to score with.
        images: Ids and encoded bytes.
        n_workers: Number of threads; see `n_streams`.
        limits: Size and memory limits of decoding.
        prepare: Function from bytes to pixels; default: the detector's profile.

    Raises:
        Exception: Any error of `images`. An image that cannot be decoded raises none.
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
    """Return the result of one image from its logit and embedding, or from the reason."""
    if isinstance(forwarded, Reason):
        return Scored(image_id=image_id, reason=forwarded)
    logit, embedding = forwarded
    # A detector without embeddings gives vectors of length 0.
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
    """Prepare jobs in threads, run the network on their pixels and yield results in order.

    Args:
        detector: Detector whose network is used.
        jobs: Jobs, read lazily, a few per thread ahead.
        prepare: Function from a job to the value that is returned with it, and its pixels. A
            reason or None in place of pixels bypasses the network. Called in the threads.
        n_workers: Number of threads; see `n_streams`. On accelerators one per device is left to
            the feeding of the device.
        weigh: Function from a returned value to the bytes that it holds; see `ordered_map`.

    Raises:
        Exception: Any error of `jobs` or `prepare`.
    """
    streams = n_streams(n_workers)
    stream = _decode_and_forward if detector.runner.device == "cpu" else _feed_lanes
    yield from stream(detector, jobs, prepare, streams, weigh)


def _decode_and_forward(
    detector: Detector,
    jobs: Iterable[_In],
    prepare: Callable[[_In], tuple[_Out, Pixels | Reason | None]],
    streams: int,
    weigh: Callable[[_Out], int],
) -> Iterator[list[tuple[_Out, Forwarded]]]:
    def work(batch: Sequence[_In]) -> list[tuple[_Out, Forwarded]]:
        return _forward(detector, [prepare(job) for job in batch])

    def weight(done: list[tuple[_Out, Forwarded]]) -> int:
        return sum(weigh(out) for out, _ in done)

    with (
        detector.runner.streams(streams) as begin,
        workers(streams, "assay-score", begin) as pool,
    ):
        batches = _batches(jobs, detector)
        # Enough batches for the threads to continue while the caller commits results.
        yield from ordered_map(pool, work, batches, n_ahead=4 * streams, weigh=weight)


def _feed_lanes(
    detector: Detector,
    jobs: Iterable[_In],
    prepare: Callable[[_In], tuple[_Out, Pixels | Reason | None]],
    streams: int,
    weigh: Callable[[_Out], int],
) -> Iterator[list[tuple[_Out, Forwarded]]]:
    def work(batch: Sequence[tuple[_Out, Pixels | Reason | None]]) -> list[tuple[_Out, Forwarded]]:
        return _forward(detector, batch)

    def weight_of_one(done: tuple[_Out, Pixels | Reason | None]) -> int:
        return weigh(done[0])

    def weight(done: list[tuple[_Out, Forwarded]]) -> int:
        return sum(weigh(out) for out, _ in done)

    n_lanes = detector.runner.n_lanes
    at_once = BATCHES_PER_LANE * n_lanes
    # Waiting for a device takes a core: CUDA polls.
    decoders = max(1, streams - n_lanes)
    with workers(decoders, "assay-decode") as decoding, workers(at_once, "assay-feed") as feeding:
        ahead = 2 * detector.batch_images + decoders
        decoded = ordered_map(decoding, prepare, jobs, n_ahead=ahead, weigh=weight_of_one)
        batches = _batches(decoded, detector)
        # As many batches wait as are on the devices, so that no lane stops for a slower one.
        yield from ordered_map(feeding, work, batches, n_ahead=2 * at_once, weigh=weight)


def _batches(items: Iterable[_In], detector: Detector) -> Iterator[list[_In]]:
    iterator = iter(items)
    while batch := list(islice(iterator, detector.batch_images)):
        yield batch


def _forward(
    detector: Detector, batch: Sequence[tuple[_Out, Pixels | Reason | None]]
) -> list[tuple[_Out, Forwarded]]:
    """Return the network's result for each job of a batch, in the batch's order."""
    usable = [pixels for _, pixels in batch if isinstance(pixels, np.ndarray)]
    results = iter(forward_in_parts(detector, usable))
    return [
        (out, next(results) if isinstance(pixels, np.ndarray) else pixels) for out, pixels in batch
    ]


def forward_in_parts(
    detector: Detector, pixels: Sequence[Pixels]
) -> list[tuple[float, Pixels] | Reason]:
    """Return the logit and the embedding of each input; halve the batch when memory runs out.

    The smaller batch size stays in `detector.batch_images`. An input that does not fit alone
    gives `out_of_memory`; one with a NaN or infinite logit or embedding, `non_finite_logit`.

    Raises:
        RuntimeError: The network fails for another reason than memory.
    """
    out: list[tuple[float, Pixels] | Reason] = []
    while len(out) < len(pixels):
        part = pixels[len(out) : len(out) + detector.batch_images]
        try:
            logits, embeddings = detector.forward(part)
        except (MemoryError, RuntimeError) as error:
            if not _is_out_of_memory(error):
                raise
            detector.runner.free()
            if len(part) == 1:
                out.append(Reason.OUT_OF_MEMORY)
            else:
                # Not above what another thread has found to fit.
                detector.batch_images = min(detector.batch_images, max(1, len(part) // 2))
            continue
        for logit, embedding in zip(logits.tolist(), embeddings, strict=True):
            is_finite = np.isfinite(logit) and np.isfinite(embedding).all()
            out.append((logit, embedding) if is_finite else Reason.NON_FINITE_LOGIT)
    return out


def _is_out_of_memory(error: Exception) -> bool:
    # Only CUDA has its own class for it; every other backend raises a plain RuntimeError.
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(words in text for words in _OUT_OF_MEMORY)


def bare_forward(detector: Detector, n_images: int, *, n_workers: int | None = None) -> float:
    """Measure the images per second of the network alone, in the streams and batches of scoring.

    Nothing is read or decoded: this is the reference for the speed of scoring stored images.
    """
    blank = np.zeros(detector.input_shape, dtype=np.float32)
    started_s = time.perf_counter()
    source = ((str(index), b"") for index in range(n_images))
    for _ in score_stream(detector, source, n_workers=n_workers, prepare=lambda _raw: blank):
        pass
    return n_images / (time.perf_counter() - started_s)
