"""Synthesis of jobs: one bad answer is one failed row, and finished images are kept."""

import itertools
import json

import factories
import numpy as np
import polars as pl
import pytest
from making import FunctionTools, job
from PIL import Image

from assay.data.errors import StoreError
from assay.data.store.lake import Lake
from assay.tasks.synthesis import synthesize
from assay.tasks.synthesis.made_images import failures_of
from assay.tasks.synthesis.synthesize import synthesize_chunk

TELLING = {
    0: (KeyError("colour"), "KeyError: 'colour'"),
    1: (TypeError("no"), "TypeError: no"),
    2: (OSError(28, "No space left on device"), "OSError: [Errno 28]"),
    3: (TimeoutError(), "TimeoutError"),
    4: (RecursionError("too deep"), "RecursionError: too deep"),
    5: (None, "returned None"),
    6: (np.zeros((4, 4), np.uint8), "array of uint8 (4, 4)"),
    7: (Image.new("1", (20_000, 20_000)), "20000x20000 px; allowed: at most 100000000 pixels"),
}


def answer(ask):
    told = TELLING.get(ask.seed, (np.full((8, 8, 3), ask.seed, np.uint8), ""))[0]
    if isinstance(told, BaseException):
        raise told
    return told


def texts(n):
    return [
        job("text", seed=seed, parent=None, key=f"key-{seed}", generator="painter", prompt="x")
        for seed in range(n)
    ]


def made_in(lake, jobs, tools, **more):
    told = {"batch_id": "s-plan", "run_id": "r", "chunk_index": 0, "n_workers": 1}
    return synthesize_chunk(lake, jobs, tools, **told | more)


def done(lake):
    return sorted(
        json.loads(params)["key"] for params in lake.scan("synthetics").collect()["params"]
    )


def test_every_bad_answer_is_a_row_with_its_reason(tmp_path):
    """The other images of the chunk are made."""
    lake = Lake(tmp_path / "lake")
    counts = made_in(lake, texts(10), FunctionTools(answer))
    assert (counts.made, counts.failed) == (2, 8)
    assert done(lake) == ["key-8", "key-9"]
    failed = lake.scan("sightings").filter(pl.col("status") == "rejected").collect()
    assert set(failed["reason"]) == {"not_made"}
    told = dict(failed.select("fingerprint", "detail").iter_rows())
    for seed, (_, reason) in TELLING.items():
        assert reason in told[f"key-{seed}"]
        assert "painter@1" in told[f"key-{seed}"]


def test_the_reason_of_the_latest_attempt_is_the_one_that_is_told(tmp_path):
    """A new failure replaces the recorded one; the same failure adds no row."""
    lake, jobs = Lake(tmp_path / "lake"), texts(1)

    def told_after(error, run_id):
        made_in(lake, jobs, FunctionTools(generator=Raising(error)), run_id=run_id)
        return failures_of(lake, jobs, "s-plan"), lake.scan("sightings").collect().height

    assert told_after(OSError("nobody listens"), "a")[0] == [("OSError: nobody listens", 1)]
    assert told_after(OSError("bad token"), "b") == ([("OSError: bad token", 1)], 2)
    assert told_after(OSError("bad token"), "c") == ([("OSError: bad token", 1)], 2)


class Raising:
    """A generator that refuses every ask in its own way."""

    generator_id, license_flags = "raising@1", ()

    def __init__(self, error):
        self.error = error

    def check(self, ask):
        """Refuse."""
        raise self.error

    def make(self, ask):
        """Never comes to it."""
        raise NotImplementedError


def test_a_damaged_parent_fails_its_children_alone(tmp_path, monkeypatch):
    """The other parents of the chunk are read and laundered."""
    lake = Lake(tmp_path / "lake")
    made_in(
        lake, texts(20)[8:10], FunctionTools(lambda ask: np.full((40, 40, 3), ask.seed, np.uint8))
    )
    good, bad = sorted(lake.scan("images").collect()["image_id"])
    real = Lake.images

    def damaged(self, image_ids):
        if bad in image_ids:
            raise StoreError(f"{bad} was changed")
        return real(self, image_ids)

    monkeypatch.setattr(Lake, "images", damaged)
    jobs = [
        job("launder", parent=parent, key=f"of-{name}", condition="jpeg-50")
        for name, parent in (("good", good), ("bad", bad), ("gone", "0" * 64))
    ]
    counts = made_in(lake, jobs, FunctionTools(), batch_id="s-other")
    assert (counts.made, counts.failed) == (1, 2)
    failed = lake.scan("sightings").filter(pl.col("status") == "rejected").collect()
    told = dict(failed.select("fingerprint", "detail").iter_rows())
    assert f"its parent {bad} cannot be read" in told["of-bad"]
    assert "no longer has the image" in told["of-gone"]


def seconds(monkeypatch, *, each):
    """Replace the clock by one that advances by a number of seconds per image only."""
    clock = itertools.count()
    now = [0.0]

    def picture(ask):
        now[0] += each
        next(clock)
        return np.full((8, 8, 3), ask.seed, np.uint8)

    monkeypatch.setattr(synthesize.time, "monotonic", lambda: now[0])
    return picture


def test_what_is_finished_is_committed_every_some_seconds(tmp_path, monkeypatch):
    """With two seconds per image, rows appear while the chunk still runs."""
    lake = Lake(tmp_path / "lake")
    picture, seen = seconds(monkeypatch, each=2.0), []

    def watched(ask):
        seen.append(len(done(lake)))
        return picture(ask)

    counts = made_in(lake, texts(8), FunctionTools(watched))
    assert counts.made == 8
    # Due after 1 s, then 1.5, 2.25, 3.4, 5.1 s after the last.
    assert seen == [0, 1, 2, 2, 4, 4, 6, 6]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_keeps_what_is_finished(tmp_path, stop):
    """The interrupt is raised after a commit, and the next run makes the rest."""
    lake = Lake(tmp_path / "lake")

    def interrupted(ask):
        if ask.seed == 3:
            raise stop
        return np.full((8, 8, 3), ask.seed, np.uint8)

    with pytest.raises(stop):
        made_in(lake, texts(6), FunctionTools(interrupted))
    assert done(lake) == ["key-0", "key-1", "key-2"]
    tools = FunctionTools(lambda ask: np.full((8, 8, 3), ask.seed, np.uint8))
    counts = made_in(lake, texts(6), tools, run_id="r2")
    assert (counts.known, counts.made) == (3, 3)
    assert [ask.seed for ask in tools.asked] == [3, 4, 5]


def test_a_store_that_cannot_be_written_stops_the_run(tmp_path, monkeypatch):
    """A failing store is not recorded as a failure of an image."""
    lake = Lake(tmp_path / "lake")

    def full(*_args, **_more):
        raise StoreError("No space left on device")

    monkeypatch.setattr(Lake, "write_shard", full)
    with pytest.raises(StoreError, match="No space left"):
        made_in(lake, texts(2), FunctionTools(lambda _: factories.photo()))
