"""Is anything lost or doubled when a run is killed at any step of its writes, or at any time?

Commands run in forked processes that are killed with SIGKILL: half of them at each step at which
an undisturbed run writes (before, within and after every file and every commit, merges and the
report included), half at random times. Each is then run again to its end, and the lake is compared
with that of the undisturbed run: one sighting per item, each image, score and decision once and
equal, every byte intact, and no file left that a sweep and a vacuum do not remove. The same is done
to publish, compact, vacuum and restore. Exits with 1 if anything differs.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import polars as pl
from deltalake import DeltaTable
from PIL import Image

from assay.data.schema import TABLES
from assay.data.store.lake import Lake
from assay.data.store.local_files import LocalStore
from assay.data.store.places.place import LOCK_NAME
from assay.tasks.lake.check import check
from assay.tasks.lake.sweep import sweep
from assay.tasks.lake.vacuum import vacuum

_FORKS = multiprocessing.get_context("forkserver")
_EARLIER_RUNS = 8  # so many that the run under test merges small files
_IMAGES = 7
_ITEMS_PER_TASK = 3
_TIMEOUT_S = 120
_IMPORTED = (
    *("assay.flows.cli", "assay.flows.run", "assay.flows.commands.running.moderate"),
    *("assay.tasks.detector.backends.pytorch", "assay.tasks.detector.backends.vit"),
    *("assay.tasks.publish.publish", "assay.tasks.lake.restore", "imagehash", "pandas"),
)
_OLD_S = 3 * 86_400
_MODEL = ("--detector", "mini", "--backend", "torch", "--no-server")
# Columns that say who wrote a row and when, and in which order images were stored.
_OF_A_RUN = {"run_id", "ingested_at", "seen_at", "scored_at", "decided_at", "group_id"} | {
    *("shard", "row_group", "row", "logit", "prob_fake", "prob_calibrated", "embedding")
}


@dataclass(frozen=True, slots=True)
class Operation:
    """A command under test, and how many of the kills it gets."""

    name: str
    arguments: tuple[str, ...]
    share: float


def main() -> None:
    """Kill, repeat, compare, and print a table of the kills by operation and step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=16)
    parser.add_argument("--only", nargs="*", help="names of the commands to kill")
    arguments = parser.parse_args()
    _FORKS.set_forkserver_preload(list(_IMPORTED))
    with tempfile.TemporaryDirectory() as scratch:
        os.environ |= {
            "PREFECT_HOME": f"{scratch}/prefect",
            "ASSAY_CACHE": f"{scratch}/cache",
            "HF_HUB_OFFLINE": "1",
        }
        soak = _Soak(Path(scratch), random.Random(arguments.seed))
        soak.prepare()
        for operation in soak.operations():
            if not arguments.only or operation.name in arguments.only:
                soak.run(operation, round(operation.share * arguments.kills))
        sys.exit(soak.report())


class _Soak:
    """Kills of commands on copies of one lake, and what was found wrong after them."""

    def __init__(self, here: Path, rng: random.Random) -> None:
        self.here = here
        self.rng = rng
        self.kills: Counter[tuple[str, str]] = Counter()
        self.wrong: list[str] = []

    def prepare(self) -> None:
        """Make the sources, and the lakes that the commands start from."""
        _draw(self.here / "source", _IMAGES, seed=1)
        copied = (self.here / "source" / "00.jpg").read_bytes()
        (self.here / "source" / "copy.jpg").write_bytes(copied)
        (self.here / "source" / "cut.jpg").write_bytes(copied[:500])
        for number in range(_EARLIER_RUNS):
            folder = self.here / "earlier" / str(number)
            _draw(folder, 1, seed=100 + number)
            self.must(self.child(["moderate", str(folder), *_MODEL], self.here / "before"))
        shutil.copytree(self.here / "before", self.here / "after")
        self.must(self.child(["moderate", str(self.here / "source"), *_MODEL], self.here / "after"))
        _age(self.here / "after")

    def operations(self) -> list[Operation]:
        """Return the commands under test."""
        runs = Lake(self.here / "before").scan("runs").filter(pl.col("status") == "completed")
        fourth = runs.sort("finished_at").collect()["run_id"][3]
        return [
            Operation("moderate", ("moderate", str(self.here / "source"), *_MODEL), 0.6),
            Operation(
                "publish", ("publish", "--to", "{out}", "--overwrite", "--allow-shortcuts"), 0.1
            ),
            Operation("compact", ("lake", "compact"), 0.1),
            Operation("vacuum", ("lake", "vacuum", "--older-than", "1h"), 0.1),
            Operation("restore", ("lake", "restore", fourth), 0.1),
        ]

    def run(self, operation: Operation, n_kills: int) -> None:
        """Kill a command so many times, on a fresh copy of the lake each time."""
        lake = self.fresh(operation)
        began_s = time.monotonic()
        steps = self.here / "steps"
        self.must(self.child(self.filled(operation), lake, steps=steps))
        took_s = time.monotonic() - began_s
        n_steps = len(steps.read_text().splitlines())
        wanted = self.state(operation, lake)
        n_at_steps = -(-n_kills // 2)
        # All steps in turn where there are enough kills, else some of them, spread evenly.
        at = [1 + number * n_steps // n_at_steps for number in range(n_at_steps)]
        if n_at_steps > n_steps:
            at = [1 + number % n_steps for number in range(n_at_steps)]
        done = 0
        for number in itertools.count():
            if done == n_kills:
                break
            lake = self.fresh(operation)
            steps.unlink(missing_ok=True)
            if number < n_at_steps:
                child = self.child(self.filled(operation), lake, steps=steps, kill_at=at[number])
            else:
                after_s = self.rng.uniform(0, 0.8 * took_s)
                child = self.child(self.filled(operation), lake, after_s=after_s)
            if child.exitcode != -signal.SIGKILL:
                took_s *= 1.0 if number < n_at_steps else 0.9
                if number < n_at_steps:
                    done += 1  # a step that this run did not have
                    self.kills[operation.name, "not reached"] += 1
                continue  # it had ended before its time
            kind = _kind(steps.read_text().splitlines()[-1]) if steps.exists() else "at random"
            done += 1
            self.kills[operation.name, kind] += 1
            self.compare(operation, lake, wanted, kind)
        print(f"{operation.name}: {done} kills, {n_steps} steps", flush=True)

    def compare(self, operation: Operation, lake: Path, wanted: dict[str, Any], kind: str) -> None:
        """Run a killed command again and compare its lake with that of the undisturbed run."""
        where = f"{operation.name}, killed {kind}"
        again = self.child(self.filled(operation), lake)
        if again.exitcode != 0:
            said = (self.here / "said").read_text()[-400:]
            self.note(f"{where}: the repeated command ends with {again.exitcode}: {said}")
            return
        for what, found in self.state(operation, lake).items():
            if found != wanted[what]:
                self.note(f"{where}: {what}: {_difference(wanted[what], found)}")

    def note(self, difference: str) -> None:
        """Print a difference when it is found, since a later step may fail."""
        self.wrong.append(difference)
        print(f"- {difference}", flush=True)

    def state(self, operation: Operation, folder: Path) -> dict[str, Any]:
        """Return what must be equal however often a command was killed."""
        lake = Lake(folder, create=False)
        state: dict[str, Any] = {"damage": [str(one) for one in check(lake, deep=True).damage]}
        for table in TABLES:
            rows = lake.scan(table).collect()
            if table == "runs":
                last = rows.sort("started_at", "finished_at").filter(
                    ~pl.col("run_id").is_in(
                        rows.filter(pl.col("status") != "running")["run_id"].implode()
                    )
                )
                state["runs without an end"] = last.height
                continue
            columns = [name for name in rows.columns if name not in _OF_A_RUN]
            state[table] = sorted(map(str, rows.select(columns).rows()))
        scores = lake.scan("scores").select("image_id", "logit").collect()
        state["logits"] = {image_id: round(logit, 3) for image_id, logit in scores.rows()}
        out = folder.parent / "dataset"
        if operation.name == "publish":
            state["dataset"] = _dataset(out)
        _age(folder)
        sweep(lake, older_than_s=3600)
        vacuum(lake, older_than_s=3600)
        state["left over"] = _left_over(lake)
        state["beside the lake"] = sorted(
            path.name for path in folder.parent.iterdir() if path not in {folder, out}
        )
        return state

    def fresh(self, operation: Operation) -> Path:
        """Return a new copy of the lake that a command starts from."""
        trial = self.here / "trial"
        shutil.rmtree(trial, ignore_errors=True)
        base = self.here / ("before" if operation.name == "moderate" else "after")
        shutil.copytree(base, trial / "lake")
        return trial / "lake"

    def filled(self, operation: Operation) -> list[str]:
        """Return the arguments of a command."""
        out = str(self.here / "trial" / "dataset")
        return [argument.format(out=out) for argument in operation.arguments]

    def child(
        self,
        arguments: list[str],
        lake: Path,
        *,
        steps: Path | None = None,
        kill_at: int = 0,
        after_s: float | None = None,
    ) -> Any:
        """Run a command in a forked process to its end, or until it is killed."""
        began, begin = _FORKS.Pipe(duplex=False)
        said = self.here / "said"
        child = _FORKS.Process(
            target=_command,
            args=(arguments, str(lake), dict(os.environ), said, steps, kill_at, begin),
        )
        child.start()
        begin.close()
        if after_s is not None:
            began.recv()
            child.join(timeout=after_s)
            child.kill()
        child.join(timeout=_TIMEOUT_S)
        return child

    def must(self, child: Any) -> None:
        """Stop at a command that fails without a kill."""
        if child.exitcode != 0:
            said = (self.here / "said").read_text()
            raise SystemExit(f"an undisturbed command ended with {child.exitcode}: {said}")

    def report(self) -> int:
        """Print the kills and what was found wrong; return the exit code."""
        print(f"\n{'command':<10} {'killed':<44} {'kills':>5}")
        for (name, kind), n in sorted(self.kills.items()):
            print(f"{name:<10} {kind:<44} {n:>5}")
        n_kills = sum(n for (_, kind), n in self.kills.items() if kind != "not reached")
        print(f"{n_kills} kills, {len(self.wrong)} differences")
        return 1 if self.wrong else 0


def _command(
    arguments: list[str],
    lake: str,
    env: dict[str, str],
    said: Path,
    steps: Path | None,
    kill_at: int,
    begin: Any,
) -> None:
    """Run the command in this process, which dies at its n-th step."""
    os.environ.update(env)
    sys.stdout = sys.stderr = said.open("w")
    import assay.flows.run as runs
    from assay.flows.cli import main as assay

    runs.IMAGES_PER_TASK = _ITEMS_PER_TASK
    if steps is not None:
        _die_at(kill_at, steps)
    begin.send("begun")
    assay([*arguments, "--lake", lake])


def _die_at(kill_at: int, steps: Path) -> None:
    """Write the name of each step of this process to a file; die at the n-th."""
    numbers = itertools.count(1)

    def passed(name: str) -> None:
        with steps.open("a") as out:
            out.write(f"{name}\n")
        if next(numbers) == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(owner: Any, method: str, name_of: Callable[..., str]) -> None:
        real = getattr(owner, method)

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            name = name_of(*args, **kwargs)
            passed(f"before {name}")
            result = real(*args, **kwargs)
            passed(f"after {name}")
            return result

        setattr(owner, method, wrapped)

    creating = LocalStore.creating

    @contextlib.contextmanager
    def stepwise(store: LocalStore, name: str) -> Iterator[Any]:
        passed(f"before writing {name}")
        with creating(store, name) as file:
            yield file
            passed(f"before naming {name}")
        passed(f"after naming {name}")

    LocalStore.creating = stepwise  # type: ignore[method-assign]
    around(LocalStore, "create", lambda _store, name, _raw: f"creating {name}")
    around(LocalStore, "delete", lambda _store, name: f"deleting {name}")
    around(DeltaTable, "create", lambda uri, **_more: f"making table {PurePosixPath(uri).name}")
    around(DeltaTable, "create_checkpoint", lambda table: f"checkpoint of {_table(table)}")
    around(
        DeltaTable,
        "create_write_transaction",
        lambda table, actions, **_more: (
            f"{'rewriting' if len(actions) != 1 else 'commit to'} {_table(table)}"
        ),
    )
    for method in ("rename", "replace"):
        around(Path, method, lambda path, _to: f"renaming {path.suffix or path.name}")


def _table(table: DeltaTable) -> str:
    return PurePosixPath(table.table_uri.rstrip("/")).name


def _kind(step: str) -> str:
    """Return the kind of a step, without the random part of its name."""
    verb, _, name = step.rpartition(" ")
    parts = PurePosixPath(name).parts
    if len(parts) < 2:
        return f"{verb} {'a folder' if '-' in name else name}"
    return f"{verb} {'/'.join(parts[:-1])} {PurePosixPath(name).suffix.lstrip('.')}"


def _draw(folder: Path, n_images: int, *, seed: int) -> None:
    """Write smooth images with grain."""
    folder.mkdir(parents=True)
    random_numbers = np.random.default_rng(seed)
    for number in range(n_images):
        coarse = random_numbers.integers(0, 255, (6, 8, 3), dtype=np.uint8)
        large = Image.fromarray(coarse).resize((96, 64), Image.Resampling.BICUBIC)
        large.save(folder / f"{number:02}.jpg", quality=90)


def _age(folder: Path) -> None:
    """Date all files of a lake three days back, as a sweep and a vacuum take old ones only."""
    at_s = time.time() - _OLD_S
    for path in folder.rglob("*"):
        if path.is_file():
            os.utime(path, (at_s, at_s))


def _dataset(out: Path) -> dict[str, str]:
    """Return the files of a published dataset and their hashes."""
    files = json.loads((out / LOCK_NAME).read_text())["files"]
    return {name: file["sha256"] for name, file in files.items() if name.endswith(".parquet")}


def _left_over(lake: Lake) -> list[str]:
    """Return the files of a lake that no table, log or run names."""
    named = {"assay-lake.json", ".lock"}
    images = lake.scan("images").select("shard").unique().collect()
    named |= set(images["shard"])
    for table in TABLES:
        named |= {file.name for file in lake.tables.listed(table)}
    left = []
    for path in Path(lake.uri).rglob("*"):
        name = path.relative_to(lake.uri).as_posix()
        if not path.is_file() or name in named:
            continue
        folder, _, last = name.rpartition("/")
        stem, _, suffix = last.partition(".")
        if folder.endswith("/_delta_log") and (
            last == "_last_checkpoint"
            or (stem.isdecimal() and suffix in {"json", "checkpoint.parquet"})
        ):
            continue
        if folder in {"reports", "published"} and not last.startswith("."):
            continue
        left.append(f"{folder}/{suffix or last}")
    return sorted(left)


def _difference(wanted: Any, found: Any) -> str:
    if isinstance(wanted, list) and isinstance(found, list):
        lacking, more = Counter(wanted) - Counter(found), Counter(found) - Counter(wanted)
        return f"lacks {list(lacking)[:2]}, has beside {list(more)[:2]}"
    return f"{found} instead of {wanted}"[:400]


if __name__ == "__main__":
    main()
