"""Processes of tests: forked from one that has the imports done."""

import gc
import os
import subprocess
import tempfile
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path


class _Process(ForkServerProcess):
    """A child whose collector of garbage does not go through the objects of the imports."""

    def run(self):
        gc.freeze()
        super().run()


class _Processes(ForkServerContext):
    Process = _Process


# What takes seconds in each child is not what is tested. pandas is loaded by pyarrow, where it
# is installed, with the first table that is made of rows.
PROCESSES = _Processes()
PROCESSES.set_forkserver_preload(
    [
        "assay.flows.cli",
        "assay.flows.run",
        "assay.flows.augmentation.run",
        "assay.flows.commands.running.moderate",
        "assay.flows.commands.running.ingest",
        "assay.tasks.detector.backends.pytorch",
        "assay.tasks.detector.backends.vit",
        "assay.flows.review_page.app",
        "uvicorn",
        "scipy.fftpack",
        "pandas",
    ]
)


def forked(function, *arguments, env=None):
    """Return the result of a function in a process with the imports done and these variables."""
    given, out = PROCESSES.Pipe(duplex=False)
    child = PROCESSES.Process(
        target=_answer, args=(out, function, arguments, dict(env or os.environ))
    )
    child.start()
    out.close()
    answer = given.recv()
    child.join(timeout=60)
    assert child.exitcode == 0
    return answer


def _answer(out, function, arguments, env):
    os.environ.clear()
    os.environ.update(env)
    out.send(function(*arguments))


def forked_command(*arguments, cwd, env):
    """`assay` in a process that has the imports done: its exit code, stdout and stderr.

    For commands that come to their end within a second, most of which they would import.
    """
    with tempfile.TemporaryDirectory() as folder:
        child = PROCESSES.Process(
            target=_command, args=(list(map(str, arguments)), str(cwd), dict(env), folder)
        )
        child.start()
        child.join(timeout=120)
        said = [(Path(folder) / name).read_text() for name in ("stdout", "stderr")]
    assert child.exitcode is not None, said
    return subprocess.CompletedProcess(arguments, child.exitcode, *said)


def _command(arguments, cwd, env, folder):
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(Path(folder) / name, os.O_WRONLY | os.O_CREAT), descriptor)
    from assay.flows.cli import main

    main(arguments)
