"""After a publication was killed, the next one finds a whole dataset and no remains."""

import json
import os
import signal
from pathlib import Path

import polars as pl
import pytest
from lakes import Shot, lake_of
from processes import PROCESSES

from assay.data.errors import ConfigError
from assay.data.store.lake import Lake
from assay.data.store.places.whole_folder import holding
from assay.tasks.publish import publish as publish_module
from assay.tasks.publish.publish import publish


def kill_here(*_args, **_more):
    os.kill(os.getpid(), signal.SIGKILL)


def killed(lake, out, moment):
    """Publish in a child that dies at a given moment."""
    renames = []
    real = Path.rename

    def rename(self, target):
        renamed = real(self, target)
        renames.append(target)
        if len(renames) == {"between the renames": 1, "after the renames": 2}[moment]:
            kill_here()
        return renamed

    if moment == "while it writes":
        publish_module.dataset_card = kill_here
    else:
        Path.rename = rename
    publish(Lake(lake), out, seed=1, overwrite=True)


def hidden(out):
    return [path.name for path in out.parent.iterdir() if path.name.startswith(f".{out.name}.")]


def seed_of(out):
    return json.loads((out / "VERSIONS.lock").read_text())["seed"]


def n_rows(out):
    return sum(pl.read_parquet(file).height for file in (out / "data").iterdir())


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("killed")
    return lake_of(folder / "lake", [Shot(name=f"{n}", seed=n, size=(64, 48)) for n in range(4)])


@pytest.mark.xdist_group("forked")
@pytest.mark.parametrize(
    ("moment", "seed", "said"),
    [
        ("while it writes", 0, "removed 1 unfinished copy"),
        ("between the renames", 1, "completed an interrupted publication"),
        ("after the renames", 1, "removed 1 unfinished copy"),
    ],
)
def test_the_next_publication_sets_right_what_a_kill_left(made, tmp_path, moment, seed, said):
    """The folder has the old or the new dataset, and no hidden copy is left."""
    out = tmp_path / "dataset"
    publish(made.lake, out, seed=0)
    child = PROCESSES.Process(target=killed, args=(made.lake.uri, out, moment))
    child.start()
    child.join(timeout=60)
    assert child.exitcode == -signal.SIGKILL
    assert out.exists() == (moment != "between the renames")
    assert len([name for name in hidden(out) if ".tmp-" in name]) >= 1
    with pytest.raises(ConfigError, match=f"is not empty .*{said}"):
        publish(made.lake, out)
    assert seed_of(out) == seed
    assert n_rows(out) == 4
    assert hidden(out) == []
    assert publish(made.lake, out, seed=2, overwrite=True).recovered is None
    assert (seed_of(out), n_rows(out), hidden(out)) == (2, 4, [])


def test_a_swap_without_a_whole_new_folder_is_undone(tmp_path):
    """The old folder returns if a file of the new one is missing or has another size."""
    out = tmp_path / "dataset"
    old, work = (tmp_path / f".dataset.tmp-01234567{end}" for end in ("-old", ""))
    for folder, n_bytes in ((old, 3), (work, 4)):
        (folder / "data").mkdir(parents=True)
        (folder / "data" / "x").write_bytes(b"abc")
        files = {"data/x": {"n_bytes": n_bytes}}
        (folder / "VERSIONS.lock").write_text(json.dumps({"files": files, "of": folder.name}))
    other = tmp_path / ".dataset2.tmp-01234567"
    other.mkdir()
    with holding(out) as place:
        assert (
            place.recovered == "restored the folder that an interrupted publication was replacing"
        )
    assert json.loads((out / "VERSIONS.lock").read_text())["of"] == old.name
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["dataset", other.name])


def test_two_publications_to_one_place(made, tmp_path):
    """The second publication is refused while the first one runs."""
    out = tmp_path / "dataset"
    with holding(out) as place:
        place.work.mkdir()
        with pytest.raises(ConfigError, match="another process is publishing to"):
            publish(made.lake, out)
        assert place.work.is_dir()
    assert publish(made.lake, out).recovered is None


def test_a_lock_that_a_kill_left_keeps_nobody_out(made, tmp_path):
    """The system releases the lock of a dead process; the file alone blocks nothing."""
    out = tmp_path / "dataset"
    (tmp_path / ".dataset.lock").touch()
    publish(made.lake, out)
    assert hidden(out) == []


def test_a_link_to_a_dataset_stays_a_link(made, tmp_path):
    """The target of the link is replaced."""
    publish(made.lake, tmp_path / "real", seed=0)
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "real")
    publish(made.lake, link, seed=3, overwrite=True)
    assert link.is_symlink()
    assert seed_of(tmp_path / "real") == 3
    assert hidden(link) == hidden(tmp_path / "real") == []
