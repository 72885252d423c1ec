"""The page in a browser, by keys: quick, complete, and nothing lost when the server is killed."""

import itertools
import signal
import statistics

import pytest
from browsers import Tab, chromium
from page_lakes import LABELS, page_lake
from page_servers import PageServer

from assay.tasks.review.answers import all_answers

pytestmark = [pytest.mark.browser, pytest.mark.slow]

N_IMAGES = 100_000
N_ANSWERS = 500
N_KILLS = 20


@pytest.fixture(scope="module")
def browser():
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    return page_lake(tmp_path_factory.mktemp("lake") / "lake", n_shown=900, n_rows=N_IMAGES)


@pytest.fixture
def server(lake):
    with PageServer(lake.uri) as started:
        yield started


def stored(lake, reviewer):
    """Return image and label of each answer of a reviewer, in their order."""
    rows = all_answers(lake).collect().filter(reviewer=reviewer).sort("reviewed_at")
    return list(rows.select("image_id", "label").iter_rows())


def test_five_hundred_answers_by_keys_survive_twenty_kills(browser, server, lake):
    """Half of the kills are while answers are recorded, half at any moment."""
    tab = Tab(browser, server.url).review_as("ada")
    during = [{"dies": "before", "at": 4}, {"dies": "after", "at": 4}] * (N_KILLS // 4)
    given, last = [], None
    with server.kept_alive(itertools.chain(during, itertools.repeat({}))) as codes:
        for number, key in enumerate(itertools.islice(itertools.cycle(LABELS), N_ANSWERS)):
            last = tab.image_id(after=last)
            given.append((last, LABELS[key]))
            tab.press(key)
            if number % (N_ANSWERS // N_KILLS) == 7:
                server.kill(wait=False)
        tab.wait_until_saved()
        tab.close()
    print(f"{len(codes)} kills")
    assert len(codes) >= N_KILLS
    assert set(codes) == {-signal.SIGKILL}
    assert len({image_id for image_id, _ in given}) == N_ANSWERS
    assert stored(lake, "ada") == given


def test_the_next_image_is_there_within_100_ms_of_the_key(browser, server):
    """It was fetched and decoded ahead; a hundred thousand images are in the lake."""
    tab = Tab(browser, server.url).review_as("bob")
    last = None
    for _ in range(100):
        last = tab.image_id(after=last)
        tab.page.wait_for_timeout(250)
        tab.press("2")
    tab.wait_until_saved()
    swaps = tab.page.evaluate("window.swaps")
    tab.close()
    times_ms = sorted(swap["ms"] for swap in swaps)
    print(
        f"{len(swaps)} swaps: median {statistics.median(times_ms):.0f} ms, most {times_ms[-1]:.0f}"
    )
    assert len(swaps) >= 98
    assert all(swap["isThere"] for swap in swaps)
    assert times_ms[97] <= 100


def test_two_browsers_at_once_share_the_queue_out(browser, server, lake):
    """No image is before two reviewers, and each answer has the name of its own."""
    tabs = [Tab(browser, server.url).review_as(name) for name in ("eve", "kim")]
    given, last = {"eve": [], "kim": []}, {"eve": None, "kim": None}
    for key in itertools.islice(itertools.cycle(LABELS), 40):
        for tab, name in zip(tabs, given, strict=True):
            last[name] = tab.image_id(after=last[name])
            given[name].append((last[name], LABELS[key]))
            tab.press(key)
    for tab in tabs:
        tab.wait_until_saved()
        tab.close()
    assert not set(given["eve"]) & set(given["kim"])
    assert {name: stored(lake, name) for name in given} == given


def test_answers_of_a_closed_tab_are_sent_by_the_next_page(browser, server, lake):
    """The server was down, the tab was closed; they were in the browser's storage."""
    tab = Tab(browser, server.url).review_as("lou")
    first = tab.image_id()
    tab.page.wait_for_timeout(500)
    server.kill()
    tab.press("1")
    second = tab.image_id(after=first)
    tab.press("2")
    tab.page.close()
    server.start()
    tab.page = tab.context.new_page()
    tab.page.goto(tab.url + "/queue")
    tab.wait_until_saved()
    tab.close()
    assert stored(lake, "lou") == [(first, "real"), (second, "fake")]
