"""What every test needs: a cache of its own, and backends that are measured in short."""

import atexit
import gc
import logging
import os
import signal
import sys
from pathlib import Path

import hypothesis
import pytest
from plugin_package import plugin
from prefect_server import server
from xdist.scheduler import LoadGroupScheduling

# pytest 9.1 forgets the conftest.py of a folder that the command names again after another one.
__all__ = ["logging_as_before", "own_cache", "plugin", "server", "short_rates"]

# Before libraries load, here and in what tests start: several processes share the cores, and
# threads that wait for each other at the end of each loop take twice the CPU time then.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# Without bytecode, every command that a test starts compiles the package anew, and every run of
# the tests rewrites their assertions anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# What a script starts in the background ignores Ctrl-C, and so does all that this starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A busy machine is no fault of what is tested.
hypothesis.settings.register_profile(
    "untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("untimed")


class FilesAndGroups(LoadGroupScheduling):
    """Gives the tests of a group to one worker, and of a file: what a module makes is made once."""

    def _split_scope(self, nodeid):
        group = super()._split_scope(nodeid)
        return nodeid.partition("::")[0] if group == nodeid else group


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Give out files and groups in the order in which they were collected."""
    if config.getvalue("dist") != "loadgroup":
        return None
    config.option.loadscopereorder = False
    return FilesAndGroups(config, log)


def pytest_collection_modifyitems(items):
    """Start what takes long first: a worker that begins it last is waited for by the others."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (not item.get_closest_marker("xdist_group"), item.path not in slow))


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Keep the collector of garbage from going through the libraries' million objects."""
    gc.disable()
    collected = yield
    gc.collect()
    gc.freeze()
    gc.enable()
    atexit.register(gc.unfreeze)
    return collected


@pytest.fixture(autouse=True)
def logging_as_before():
    """Fail a test that leaves another state of logging, not a later one that reads the log.

    A handler that a library adds is no such change: Prefect adds its own at the first flow run of
    a process.
    """
    handlers = [handler for one in _loggers() for handler in one.handlers]
    before = _logging_state(handlers)
    yield
    assert _logging_state(handlers) == before


def _loggers() -> list[logging.Logger]:
    return [logging.getLogger(), logging.getLogger("assay")]


def _logging_state(handlers: list[logging.Handler]) -> list[object]:
    """Return what decides whether a message of assay reaches `handlers`, pytest's among them."""
    of_assay = logging.getLogger("assay")
    return [
        logging.root.manager.disable,
        (of_assay.level, of_assay.propagate, of_assay.disabled, of_assay.filters[:]),
        [(handler, handler.level, handler.filters[:]) for handler in handlers],
    ]


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory):
    """Quantised weights and indexes go to a folder of this process's, measurements to all's."""
    before = os.environ.get("ASSAY_CACHE")
    cache = tmp_path_factory.mktemp("cache")
    (cache / "measured").symlink_to(_folder_of_all(tmp_path_factory, "measured"))
    os.environ["ASSAY_CACHE"] = str(cache)
    yield
    if before is None:
        del os.environ["ASSAY_CACHE"]
    else:
        os.environ["ASSAY_CACHE"] = before


def _folder_of_all(tmp_path_factory, name: str) -> Path:
    """Return a folder shared by the processes of one test run."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent
    (root / name).mkdir(exist_ok=True)
    return root / name


@pytest.fixture(autouse=True, scope="session")
def short_rates():
    """Backends are measured in two rounds of one batch per core: the rate itself is not tested."""
    from assay.tasks.detector.selection import choose_backend

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(choose_backend, "_ROUNDS_PER_STREAM", 1)
        yield
