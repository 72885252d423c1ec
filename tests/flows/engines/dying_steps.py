"""Steps that end their worker or fail there, importable by workers."""

import os
import signal
import time
from pathlib import Path

from stop_at import StopAt

from assay.data.errors import ConfigError
from assay.flows import progress, steps
from assay.flows.engines.placing import placed
from assay.tasks import ingest
from assay.tasks.work import commit_portions


def tries_of(lake, name):
    """Return the file with one character per try."""
    return Path(f"{lake.uri}.{name}")


def die():
    """End this process as the kernel does when memory runs out."""
    os.kill(os.getpid(), signal.SIGKILL)


def first_try(lake, name):
    """Note a try, and return whether it is the first."""
    with tries_of(lake, name).open("a") as file:
        file.write("x")
        return file.tell() == 1


@placed()
def dying_ingest(lake, request, run_id, batch_id, index, items):
    """Ingest and score; the first try at the second chunk dies after the commit of some items."""
    call = (lake, request, run_id, batch_id, index, items)
    if index != 1 or not first_try(lake, "ingest"):
        return steps.ingest_and_score_step(*call)
    ingest.FLUSH_EVERY_S = 0.0
    with progress.watched(StopAt(5, die)):
        return steps.ingest_and_score_step(*call)


@placed()
def dying_score(lake, request, run_id, shard, image_ids):
    """Score; the first try at the first portion dies after the commit of some scores."""
    if not first_try(lake, "score"):
        return steps.score_step(lake, request, run_id, shard, image_ids)
    commit_portions.COMMIT_EVERY_S = 0.0
    with progress.watched(StopAt(5, die)):
        return steps.score_step(lake, request, run_id, shard, image_ids)


@placed()
def deadly(lake, _request, _run_id, _shard, _image_ids):
    """Die at each try."""
    first_try(lake, "deadly")
    die()


@placed()
def refusing(lake, _request, _run_id, _shard, _image_ids):
    """Refuse at each try."""
    first_try(lake, "refusing")
    raise ConfigError("threshold is 3; allowed: 0 to 1")


@placed()
def meeting(lake, _request, _run_id, _shard, image_ids):
    """Wait for the other of two tasks, and return this process."""
    own, other = (tries_of(lake, name) for name in (image_ids[0], str(1 - int(image_ids[0]))))
    own.touch()
    end_s = time.monotonic() + 60
    while not other.exists():
        if time.monotonic() > end_s:
            raise TimeoutError("the other task did not begin")
        time.sleep(0.05)
    return os.getpid()
