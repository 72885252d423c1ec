"""Threads work ahead, results come in order, and little waits."""

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.tasks.work.lookahead import ListedAhead
from assay.tasks.work.ordered_map import MAX_WAITING_BYTES, ordered_map


@settings(max_examples=50, deadline=None)
@given(
    waits_ms=st.lists(st.integers(0, 3), max_size=20),
    n_workers=st.integers(1, 4),
    n_ahead=st.integers(1, 6),
    n_bytes=st.sampled_from([0, 1, MAX_WAITING_BYTES]),
)
def test_results_come_in_the_order_of_the_jobs(waits_ms, n_workers, n_ahead, n_bytes):
    """The order holds for any duration, queue length and weight of results."""

    def work(job: tuple[int, int]) -> int:
        time.sleep(job[1] / 1000)
        return job[0]

    with ThreadPoolExecutor(n_workers) as pool:
        jobs = enumerate(waits_ms)
        done = list(ordered_map(pool, work, jobs, n_ahead=n_ahead, weigh=lambda _: n_bytes))
    assert done == list(range(len(waits_ms)))


def test_few_jobs_are_drawn_while_heavy_results_wait():
    """Behind a slow first job, results of half the bound each: two are made, not eight."""
    release = threading.Event()
    drawn: list[int] = []

    def jobs():
        for index in range(20):
            drawn.append(index)
            if index == 4:
                # Drawn only if the weight of three finished results did not count.
                release.set()
            if index in {2, 3}:
                time.sleep(0.05)
            yield index

    def work(index: int) -> int:
        if index == 0:
            release.wait(0.3)
        return index

    with ThreadPoolExecutor(4) as pool:
        results = ordered_map(pool, work, jobs(), n_ahead=8, weigh=lambda _: MAX_WAITING_BYTES // 2)
        assert next(results) == 0
        assert max(drawn) <= 3
        assert list(results) == list(range(1, 20))


def test_jobs_count_with_their_own_bytes_until_their_results_are_taken():
    """Jobs of a quarter of the bound each: four are handed out, whether done or not."""
    drawn: list[int] = []

    def jobs():
        for index in range(12):
            drawn.append(index)
            yield index

    with ThreadPoolExecutor(2) as pool:
        results = ordered_map(
            pool, lambda job: job, jobs(), n_ahead=100, weigh_job=lambda _: MAX_WAITING_BYTES // 4
        )
        for expected in range(12):
            assert next(results) == expected
            assert len(drawn) <= expected + 4
    assert len(drawn) == 12


def test_an_error_in_a_job_is_raised_where_its_result_would_be():
    """The results before it are given; no job after it is drawn for nothing."""

    def work(index: int) -> int:
        if index == 3:
            raise ValueError("the fourth")
        return index

    with ThreadPoolExecutor(2) as pool:
        results = ordered_map(pool, work, range(100), n_ahead=4, weigh=lambda _: 1)
        assert [next(results) for _ in range(3)] == [0, 1, 2]
        with pytest.raises(ValueError, match="the fourth"):
            next(results)


@given(n_items=st.integers(0, 30), n_ahead=st.integers(1, 40))
def test_listing_ahead_tells_the_total_as_soon_as_the_last_is_drawn(n_items, n_ahead):
    """The same items in the same order; the total is never wrong, only late."""
    drawn: list[int] = []
    listed = ListedAhead((drawn.append(i) or i for i in range(n_items)), n_ahead)
    assert listed.total is None
    for index, item in enumerate(listed):
        assert item == index
        assert len(drawn) <= index + n_ahead
        assert listed.total == (n_items if index + n_ahead > n_items else None)
    assert listed.total == n_items


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_is_heard_while_a_job_takes_long():
    """Ctrl-C is raised even if a library's handler, as polars', ends no wait."""
    done = threading.Event()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.siginterrupt(signal.SIGINT, False)
    ctrl_c = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    started_s = time.monotonic()
    try:
        with ThreadPoolExecutor(1) as pool:
            ctrl_c.start()
            with pytest.raises(KeyboardInterrupt):
                list(ordered_map(pool, done.wait, [10.0], n_ahead=1))
            assert time.monotonic() - started_s < 5
            done.set()
    finally:
        signal.signal(signal.SIGINT, before)
