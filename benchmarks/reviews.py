"""What an answer costs by the journal and by a commit of its own, and what the queue's next costs.

The lake has rows of images, scores and decisions, and no bytes. An answer is on disk when its
writer returns, so that the rate of syncs of this disk is the limit of answers one at a time; it is
measured beside them.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import resource
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl

from assay.data.score_key import ScoreKey
from assay.data.store.lake import Lake
from assay.tasks.decide.decide_images import decide_images
from assay.tasks.decide.policy_file import load_policy
from assay.tasks.review.answer import Answer
from assay.tasks.review.answers import standing_answers
from assay.tasks.review.journal import Journal
from assay.tasks.review.queue import next_items

AT = datetime(2026, 1, 1, tzinfo=UTC)
KEY = ScoreKey(detector="stand-in@1", weights_sha256="0" * 64, profile="p", precision="fp32")
ROWS_AT_A_TIME = 100_000
PAGE_BYTES = 4096


def main() -> None:
    """Print a line per way of writing, and one for the queue."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100_000, help="At least 5 per answer.")
    parser.add_argument("--answers", type=int, default=500)
    parser.add_argument("--folder", help="Folder on the disk to measure.")
    arguments = parser.parse_args()
    if arguments.images < 5 * arguments.answers:
        parser.error(f"{arguments.images} images are too few for {arguments.answers} answers")
    with tempfile.TemporaryDirectory(dir=arguments.folder) as scratch:
        folder = Path(scratch)
        lake = make_lake(folder / "lake", arguments.images)
        made_mib = peak_mib()
        print(f"{'written by':<34} {'answers/s':>9} {'p50 ms':>8} {'p99 ms':>8} {'files':>6}")
        answers = some_answers(lake, 4 * arguments.answers)
        parts = [answers[n::4] for n in range(4)]
        with syncing(folder / "syncs") as sync:
            alone, single = beside_syncs(lake, parts[0], sync)
        line("4 KiB and a sync, the limit", alone, 0)
        line("journal, one at a time", single, files_of(lake))
        before = files_of(lake)
        line("journal, 20 at a time", by_journal(lake, parts[1], 20), files_of(lake) - before)
        before = files_of(lake)
        line("a commit for each answer", by_commits(lake, parts[2]), files_of(lake) - before)
        queue(lake, parts[3], made_mib)


def line(name: str, seconds: Sequence[float], n_files: int) -> None:
    """Print the rate and the times of single answers, and the files that they left."""
    p50, p99 = (1000 * float(np.percentile(seconds, q)) for q in (50, 99))
    rate = len(seconds) / sum(seconds)
    print(f"{name:<34} {rate:>9.0f} {p50:>8.2f} {p99:>8.2f} {n_files:>6}")


@contextlib.contextmanager
def syncing(path: Path) -> Iterator[Callable[[], None]]:
    """Yield a function that writes a page within a file, and returns when it is on disk."""
    with path.open("wb", buffering=0) as file:
        file.write(bytes(PAGE_BYTES))
        os.fsync(file)

        def write() -> None:
            file.seek(0)
            file.write(os.urandom(PAGE_BYTES))
            os.fdatasync(file)

        yield write


def beside_syncs(
    lake: Lake, answers: Sequence[Answer], sync: Callable[[], None]
) -> tuple[list[float], list[float]]:
    """Return the seconds of syncs alone and of answers, in turn, since the disk is shared."""
    alone, seconds = [], []
    with Journal(lake) as journal:
        journal.expect(one.image_id for one in answers)  # as the queue does
        for one in answers:
            alone.append(timed(sync))
            seconds.append(timed(lambda one=one: journal.record([one])))
    return alone, seconds


def by_journal(lake: Lake, answers: Sequence[Answer], at_once: int) -> list[float]:
    """Return the seconds per answer; answers are moved into the table meanwhile and at the end."""
    with Journal(lake) as journal:
        journal.expect(one.image_id for one in answers)  # as the queue does
        seconds = []
        for begin in range(0, len(answers), at_once):
            some = answers[begin : begin + at_once]
            took_s = timed(lambda some=some: journal.record(some))
            seconds += [took_s / len(some)] * len(some)
    return seconds


def by_commits(lake: Lake, answers: Sequence[Answer]) -> list[float]:
    """Return the seconds per answer, each with a commit to the table of its own."""
    return [
        timed(lambda one=one: lake.append("reviews", [one.as_row()], txn=one.answer_id))
        for one in answers
    ]


def queue(lake: Lake, answers: Sequence[Answer], made_mib: float) -> None:
    """Print what the first image and the later ones cost, each answered before the next."""
    with Journal(lake) as journal:
        first_s = timed(lambda: next_items(lake, journal, reviewer="ann", n=1))
        seconds = []
        for number in range(len(answers)):
            begin = time.perf_counter()
            [item] = next_items(lake, journal, reviewer=("ann", "bob")[number % 2], n=1)
            seconds.append(time.perf_counter() - begin)
            journal.record([an_answer(item.image_id)])
        second_s = timed(
            lambda: next_items(lake, journal, reviewer="eve", n=1, second_opinion=True)
        )
    n_answered = standing_answers(lake).select(pl.col("image_id").n_unique()).collect().item()
    print(
        f"\nqueue of {lake.n_rows('images'):,} images, {n_answered:,} answered: first"
        f" {first_s:.2f} s, then p50 {1000 * statistics.median(seconds):.1f} ms, p99"
        f" {1000 * float(np.percentile(seconds, 99)):.1f} ms, slowest"
        f" {1000 * max(seconds):.1f} ms; first second opinion {second_s:.2f} s"
    )
    print(f"peak memory {peak_mib():.0f} MiB, of which {made_mib:.0f} MiB before the answers")


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that some work takes."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def peak_mib() -> float:
    """Return the peak memory of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def files_of(lake: Lake) -> int:
    """Return the number of files of the answers: data, log and journal."""
    folders = ("tables/reviews", "tables/reviews/_delta_log", "review")
    return sum(len(lake.store.files(folder)) for folder in folders)


def image_id(number: int) -> str:
    """Return the id of an image."""
    return hashlib.sha256(str(number).encode()).hexdigest()


def an_answer(of: str) -> Answer:
    """Return an answer about an image."""
    return Answer(
        image_id=of, label="fake", reviewer="ann", origin="page", kind="queue", shown=["score"]
    )


def some_answers(lake: Lake, n: int) -> list[Answer]:
    """Return answers about images of a lake."""
    return [an_answer(image_id(number % lake.n_rows("images"))) for number in range(n)]


def make_lake(folder: Path, n_images: int) -> Lake:
    """Return a lake of scored and decided images of three domains."""
    lake = Lake(folder)
    rng = np.random.default_rng(0)
    for begin in range(0, n_images, ROWS_AT_A_TIME):
        numbers = range(begin, min(begin + ROWS_AT_A_TIME, n_images))
        n = len(numbers)
        ids = pl.DataFrame({"image_id": [image_id(number) for number in numbers]})
        logit = pl.Series(rng.normal(-2, 3, n), dtype=pl.Float32)
        nothing = pl.lit(None, pl.String)
        place = {"shard": pl.lit("shards/none.parquet"), "row_group": pl.lit(0, pl.Int32)}
        facts = {
            "format": pl.lit("JPEG"),
            "mode": pl.lit("RGB"),
            "width_px": pl.lit(800),
            "height_px": pl.lit(600),
            "n_frames": pl.lit(1),
            "phash": pl.Series([f"{bits:016x}" for bits in rng.integers(0, 2**63, n)]),
            "phash_of": pl.lit("upright"),
            "jpeg_quality": pl.lit(90),
            "capture": pl.lit(None),
            "ai_declared": nothing,
            "doubt": nothing,
            "ingested_at": pl.lit(AT),
        }
        row = pl.int_range(n, dtype=pl.Int32)
        n_bytes = pl.lit(1000)
        batch = pl.lit("b-1")
        images = ids.select("image_id", **place, row=row, n_bytes=n_bytes, **facts, batch_id=batch)
        lake.append("images", images, txn=f"images-{begin}")
        sightings = ids.select(
            "image_id",
            batch_id=batch,
            source_uri=pl.format("file:///images/{}.jpg", "image_id"),
            status=pl.lit("stored"),
            reason=nothing,
            detail=nothing,
            domain=pl.Series(rng.choice(["ads", "art", "uploads"], n)),
            label=nothing,
            fingerprint=pl.lit("1"),
            seen_at=pl.lit(AT),
        )
        lake.append("sightings", sightings, txn=f"sightings-{begin}")
        scores = ids.select(
            "image_id",
            **{name: pl.lit(value) for name, value in KEY.as_row().items()},
            backend=pl.lit("none"),
            status=pl.lit("scored"),
            reason=nothing,
            logit=logit,
            prob_fake=1 / (1 + (-logit).exp()),
            embedding=pl.lit(None, pl.List(pl.Float32)),
            run_id=pl.lit("run-1"),
            code_version=pl.lit("0"),
            scored_at=pl.lit(AT),
        )
        lake.append("scores", scores, txn=f"scores-{begin}")
    policy = load_policy()
    decide_images(lake, image_ids=None, key=KEY, policy=policy, run_id="run-1")
    settings = KEY.as_row() | {"policy_id": policy.policy_id, "policy_rules": policy.as_dict()}
    run = {"run_id": "run-1", "flow": "moderate", "status": "completed", "config_sha256": "0" * 64}
    run |= {"params": json.dumps(settings), "code_version": "0", "counts": "{}"}
    lake.append(
        "runs", [run | {"started_at": AT, "finished_at": AT}], txn=f"run-{uuid.uuid4().hex}"
    )
    return lake


if __name__ == "__main__":
    main()
