"""A forgetting that was killed at any step is seen, and completed by the next call or a repair."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from lakes import Made, Shot, lake_of
from processes import PROCESSES

from assay.data.errors import StoreError
from assay.data.store.lake import Lake
from assay.tasks.lake import forget as forget_module
from assay.tasks.lake.check import check
from assay.tasks.lake.compact import compact
from assay.tasks.lake.forget import forget
from assay.tasks.lake.repair import repair
from assay.tasks.lake.restore import restore

# In the order of the steps, each with the number of calls before the kill.
STEPS = {
    "after the tombstone": ("_reject_items", 0),
    "after the items": ("remove_rows", 0),
    "after the rows of images": ("remove_rows", 1),
    "before the bytes": ("_erase_shards", 0),
    "between older files": ("redact_older_files", 1),
    "before the end": ("_record", 1),
}


def killed(uri: str, image_id: str, step: str) -> None:
    """Forget an image in a child that dies at a step."""
    name, n_before = STEPS[step]
    real: Callable[..., object] = getattr(forget_module, name)
    calls: list[int] = []

    def kill_here(*args: object, **more: object) -> object:
        calls.append(1)
        if len(calls) > n_before:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **more)

    setattr(forget_module, name, kill_here)
    forget(Lake(uri), [image_id], by="ann")


@pytest.fixture
def made(tmp_path: Path) -> Made:
    made = lake_of(tmp_path / "lake", [Shot(name=f"p{i}", seed=i) for i in range(3)])
    compact(made.lake)
    return made


@pytest.mark.xdist_group("forked")
@pytest.mark.parametrize("step", STEPS)
def test_what_a_kill_left_is_completed(made: Made, step: str) -> None:
    """The check names it, a restore is refused, and afterwards no file has the bytes."""
    root, image_id = Path(made.lake.uri), made.ids["p1"]
    raw = made.lake.image(image_id)
    child = PROCESSES.Process(target=killed, args=(made.lake.uri, image_id, step))
    child.start()
    child.join(timeout=120)
    assert child.exitcode == -signal.SIGKILL
    lake = Lake(root)
    assert lake.tombstones.unfinished() == {image_id}
    assert [one.what for one in check(lake).damage] == ["forgotten"]
    with pytest.raises(StoreError, match="is forgetting 1 image,"):
        restore(lake, 0, table="images")
    if step == "before the bytes":
        repair(lake)
    else:
        other = forget(lake, [made.ids["p2"]], by="ann")
        assert other.n_completed == 1
    assert lake.tombstones.unfinished() == set()
    assert not any(raw in path.read_bytes() for path in root.rglob("*.parquet"))
    assert check(lake, deep=True).damage == []
    assert lake.image(made.ids["p0"])
