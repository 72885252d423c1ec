"""Stopped by a signal: what is done is committed, the message is true, and the next run goes on."""

import json
import os
import signal
import sys
import time

import factories
import ingesting
import pytest
from processes import PROCESSES
from stop_at import StopAt

from assay.data.store.lake import Lake
from assay.flows import progress, start
from assay.flows.cli import main
from assay.flows.process import signals
from assay.flows.request import Request
from assay.flows.run import run
from assay.tasks.work.stopping import standing_of


@pytest.fixture(autouse=True)
def _hears_ctrl_c():
    """As in a terminal; what a shell starts in the background ignores the signal."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def pictures(tmp_path):
    files = {f"{seed}.jpg": factories.jpeg(seed=seed) for seed in range(5)}
    return ingesting.put(tmp_path / "pictures", files)


def interrupt():
    raise KeyboardInterrupt


def test_what_is_read_when_a_run_is_interrupted_stays(tmp_path, pictures):
    """Three of five items are in the lake and in the run's row, and are not read again."""
    request = Request(lake=str(tmp_path / "lake"), sources=(str(pictures),))
    with (
        progress.watched(StopAt(3, interrupt)),
        pytest.raises(KeyboardInterrupt) as stopped,
    ):
        run(request, flow="ingest")
    assert stopped.value.__notes__ == [
        "3 of 5 items are read and kept; the same command resumes with the other 2"
    ]
    lake = Lake(request.lake)
    assert lake.scan("images").collect().height == 3
    rows = lake.scan("runs").sort("finished_at", nulls_last=False).collect()
    assert rows["status"].to_list() == ["running", "interrupted"]
    counts = json.loads(rows["counts"][1])
    assert (counts["items"], counts["stored"]) == (3, 3)
    again = run(request, flow="ingest")
    assert (again.items, again.stored, again.unchanged) == (5, 5, 3)
    assert lake.scan("sightings").collect().height == 5


def test_how_far_a_run_came_is_told_in_words():
    """With and without a known total, at the very start and at the very end."""
    assert standing_of(1234, 5000, "images", "scored") == (
        "1,234 of 5,000 images are scored and kept; the same command resumes with the other 3,766"
    )
    assert standing_of(2, None, "items", "read") == (
        "2 items are read and kept; the same command resumes after them"
    )
    assert standing_of(0, 9, "items", "read").startswith("no items were read yet")
    assert standing_of(9, 9, "items", "read").startswith("all 9 items are read and kept")


class Dropper:
    """Something in whose destructor a signal comes: Python drops what the signal raises there."""

    def __init__(self, number):
        self.number = number

    def __del__(self):
        signal.raise_signal(self.number)


@pytest.mark.parametrize(
    ("number", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, signals.Terminated)]
)
def test_a_signal_that_comes_in_a_destructor_stops_the_run_all_the_same(
    monkeypatch, number, raised
):
    """A moment later, as the same exception and not as a second signal."""
    monkeypatch.setattr(signals.Leaving, "_leave_in", lambda *_: None)
    monkeypatch.setattr(signals, "SAME_SIGNAL_S", 0)

    def work():
        Dropper(number)
        time.sleep(10)

    with signals.handled(print), pytest.raises(raised):
        work()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_exceptions_of_signals_have_the_exit_codes_of_a_shell():
    """128 and the number of the signal, also for those of libraries; a bug has none of them."""

    class TerminationSignal(BaseException):
        """As Prefect's, which no module but Prefect's defines."""

        signal = signal.SIGTERM

    assert signals.exit_code_of(KeyboardInterrupt()) == 130
    assert signals.exit_code_of(signals.Terminated()) == 143
    assert signals.exit_code_of(TerminationSignal()) == 143
    assert signals.exit_code_of(ValueError()) is None
    assert signals.exit_code_of(SystemExit(2)) is None


def command(folder, out, during):
    """Run `assay ingest` in a child, with an action at the second item."""
    sys.stdout = sys.stderr = out.open("w")
    start.for_terminal = lambda **_: StopAt(2, during)
    main(["ingest", str(folder), "--lake", str(folder.parent / "lake")])


def told(folder, during):
    """Return the exit code and the output of a child."""
    out = folder.parent / "said"
    child = PROCESSES.Process(target=command, args=(folder, out, during))
    child.start()
    child.join(timeout=60)
    return child.exitcode, out.read_text()


def raise_sigterm():
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.xdist_group("forked")
def test_sigterm_commits_what_is_done_and_exits_with_143(pictures):
    """As systemd, Docker and Kubernetes stop a service."""
    code, said = told(pictures, raise_sigterm)
    assert code == 143, said
    assert said == (
        "assay: stopped by SIGTERM: 2 of 5 items are read and kept; the same command resumes with"
        " the other 3\n"
    )
    lake = Lake(pictures.parent / "lake", create=False)
    assert lake.scan("sightings").collect().height == 2
    assert "interrupted" in lake.scan("runs").collect()["status"].to_list()


def hang_then_press_again():
    """Simulate a store that does not respond, and a second Ctrl-C."""
    Lake.append = lambda *_args, **_more: (time.sleep(0.5), signal.raise_signal(signal.SIGINT))
    raise_sigint()


def hang_for_good():
    """Simulate a store that does not respond, with a short time limit for shutdown."""
    Lake.append = lambda *_args, **_more: time.sleep(60)
    signals.LEAVE_WITHIN_S = 0.3
    raise_sigint()


def raise_sigint():
    signal.raise_signal(signal.SIGINT)


@pytest.mark.xdist_group("forked")
@pytest.mark.parametrize(
    ("during", "said"),
    [
        (hang_then_press_again, "stopped immediately"),
        (hang_for_good, "stopped 0 s after the signal"),
    ],
)
def test_the_way_out_is_bounded(pictures, during, said):
    """A second Ctrl-C, or the end of the time, ends the process; the next run is whole."""
    started_s = time.monotonic()
    code, out = told(pictures, during)
    assert code == 130
    assert said in out
    assert time.monotonic() - started_s < 50
    again = run(
        Request(lake=str(pictures.parent / "lake"), sources=(str(pictures),)), flow="ingest"
    )
    assert (again.items, again.stored) == (5, 5)
