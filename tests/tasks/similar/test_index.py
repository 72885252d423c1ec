"""The kept index: right, only ever added to, and whole whatever is killed when."""

import hashlib
import itertools
import json
import os
import signal
import threading
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from processes import PROCESSES

from assay.data.errors import InputError, StoreError
from assay.data.score_key import ScoreKey
from assay.data.store.lake import Lake
from assay.tasks.embeddings import rows as embeddings
from assay.tasks.embeddings.rows import latest_embedded
from assay.tasks.similar import index as index_module
from assay.tasks.similar.graph import Recall, add_rows, empty_graph, measure_recall
from assay.tasks.similar.index import index_folder, open_index

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEY = ScoreKey(
    detector="mini@0123456789ab", weights_sha256="5" * 64, profile="p: plain@1", precision="fp32"
)
WIDTH = 16


def name(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def vectors(first: int, n: int) -> np.ndarray:
    """Return rows `first` to `first + n` of one endless matrix."""
    rows = [
        np.random.default_rng(number).standard_normal(WIDTH) for number in range(first, first + n)
    ]
    return np.array(rows, np.float32)


def put(lake: Lake, first: int, n: int, **changes: object) -> None:
    """Commit scores of images `first` to `first + n`."""
    rows = [
        {
            "image_id": name(number),
            "detector": KEY.detector,
            "weights_sha256": KEY.weights_sha256,
            "profile": KEY.profile,
            "backend": "torch-cpu",
            "precision": KEY.precision,
            "status": "scored",
            "reason": None,
            "logit": 0.0,
            "prob_fake": 0.5,
            "embedding": row.tolist(),
            "run_id": "r",
            "code_version": "0.1.0",
            "scored_at": START + timedelta(seconds=number),
        }
        | changes
        for number, row in zip(range(first, first + n), vectors(first, n), strict=True)
    ]
    lake.append("scores", rows, txn=f"{first}:{n}:{sorted(changes)}")


@pytest.fixture
def lake(tmp_path):
    made = Lake(tmp_path / "lake")
    put(made, 0, 300)
    return made


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "index"


def state_of(folder):
    return json.loads((folder / "state.json").read_text())


def nearest(index, number: int, k: int = 5) -> list[str]:
    return index.search(vectors(number, 1)[0], k)["image_id"].to_list()


def expected(n: int, number: int, k: int = 5) -> list[str]:
    """Return the neighbours by scikit-learn among the first `n` rows."""
    # Here, since the children of these tests need none of it.
    from sklearn.neighbors import NearestNeighbors

    theirs = NearestNeighbors(n_neighbors=k, metric="cosine", algorithm="brute")
    rows = theirs.fit(vectors(0, n)).kneighbors(vectors(number, 1), return_distance=False)[0]
    return [name(int(row)) for row in rows]


def test_it_finds_what_scikit_learn_finds(lake, folder):
    """Among few rows the graph leads to all of them: ids, order and cosines are right."""
    index = open_index(lake, KEY, folder=folder)
    assert len(index) == 300
    for number in (0, 150, 299):
        assert nearest(index, number) == expected(300, number)
    own = index.search(vectors(7, 1)[0], 1)
    assert own.row(0) == (name(7), pytest.approx(1, abs=1e-3))


def test_every_row_can_be_found(tmp_path, folder):
    """No row is stranded in the graph: each of 3,000 is the nearest to itself."""
    lake = Lake(tmp_path / "lake")
    put(lake, 0, 3000)
    index = open_index(lake, KEY, folder=folder)
    assert [nearest(index, number, 1)[0] for number in range(3000)] == [
        name(number) for number in range(3000)
    ]


def test_it_is_only_added_to(lake, folder):
    """New rows are appended in order, and no row is added twice."""
    before = open_index(lake, KEY, folder=folder)
    put(lake, 300, 50)
    added = []
    after = open_index(lake, KEY, folder=folder, on_rows=added.append)
    assert sum(added) == 50
    assert after.ids[:300].to_list() == before.ids.to_list()
    assert set(after.ids) == {name(number) for number in range(350)}
    assert nearest(after, 320) == expected(350, 320)
    assert state_of(folder)["n_rows"] == 350


def test_rows_that_were_committed_late_are_not_missed(lake, folder):
    """A row whose time lies before those indexed already, as from a slower machine, goes in."""
    open_index(lake, KEY, folder=folder)
    put(lake, 300, 5, scored_at=START - timedelta(days=1))
    assert set(open_index(lake, KEY, folder=folder).ids) == {name(n) for n in range(305)}


def test_when_nothing_is_new_nothing_is_written(lake, folder):
    """Another query leaves every file unchanged."""
    open_index(lake, KEY, folder=folder)
    before = {file.name: file.stat().st_mtime_ns for file in folder.iterdir()}
    added = []
    again = open_index(lake, KEY, folder=folder, on_rows=added.append)
    assert added == []
    assert {file.name: file.stat().st_mtime_ns for file in folder.iterdir()} == before
    assert nearest(again, 3) == expected(300, 3)


def test_an_image_scored_twice_is_in_it_once(lake, folder):
    """Two writers may have scored one image; it must not take two places among neighbours."""
    put(lake, 0, 300, backend="torch-cuda")
    assert len(open_index(lake, KEY, folder=folder)) == 300


@pytest.mark.parametrize(
    "changes",
    [
        {"detector": "other@0123456789ab"},
        {"weights_sha256": "6" * 64},
        {"profile": "q: plain@1"},
        {"precision": "bf16"},
        {"status": "failed", "embedding": None, "logit": None, "prob_fake": None},
    ],
)
def test_other_spaces_and_failures_stay_out(lake, folder, changes):
    """Only vectors of one detector, weights, preprocessing and number format are compared."""
    put(lake, 300, 20, **changes)
    assert len(open_index(lake, KEY, folder=folder)) == 300
    if "precision" in changes:
        assert latest_embedded(lake).precision == "bf16"


def test_a_replaced_lake_is_noticed(lake, folder, tmp_path):
    """Missing ids mean another lake at the same address, and the index is rebuilt."""
    open_index(lake, KEY, folder=folder)
    other = Lake(tmp_path / "other")
    put(other, 200, 200)
    index = open_index(other, KEY, folder=folder)
    assert set(index.ids) == {name(number) for number in range(200, 400)}
    assert index.search(vectors(5, 1)[0], 200)["image_id"].is_in([name(5)]).sum() == 0


def damage_nothing_named(folder, state):
    (folder / state["graph"]).unlink()


def damage_graph_cut(folder, state):
    graph = folder / state["graph"]
    graph.write_bytes(graph.read_bytes()[:-100])


def damage_graph_of_another_size(folder, state):
    graph = empty_graph(WIDTH)
    add_rows(graph, 0, vectors(0, 10))
    graph.save(folder / state["graph"])
    state["n_graph_bytes"] = (folder / state["graph"]).stat().st_size
    (folder / "state.json").write_text(json.dumps(state))


def damage_no_graph(folder, state):
    (folder / state["graph"]).write_bytes(b"x" * state["n_graph_bytes"])


def damage_ids_cut(folder, state):
    ids = folder / state["ids"]
    ids.write_bytes(ids.read_bytes()[:-32])


def damage_state_text(folder, state):
    (folder / "state.json").write_text("{")


def damage_state_kind(folder, state):
    (folder / "state.json").write_text("[1]")


def damage_state_format(folder, state):
    (folder / "state.json").write_text(json.dumps(state | {"format": 99}))


def damage_state_fields(folder, state):
    (folder / "state.json").write_text(json.dumps({"format": 1, "recall": None}))


@pytest.mark.parametrize(
    "damage", [value for key, value in sorted(globals().items()) if key.startswith("damage_")]
)
def test_a_damaged_index_is_made_again(lake, folder, damage):
    """Files that do not belong together are not used, and the answer is right."""
    open_index(lake, KEY, folder=folder)
    damage(folder, state_of(folder))
    added = []
    index = open_index(lake, KEY, folder=folder, on_rows=added.append)
    assert sum(added) == 300
    assert nearest(index, 9) == expected(300, 9)
    state = state_of(folder)
    assert {file.name for file in folder.iterdir()} == {"state.json", state["graph"], state["ids"]}


def open_and_die(uri, folder, where, after, early):
    """Open the index in a child that is killed at the `after`th call of a method of its keeper."""
    embeddings.BATCH_ROWS = 10
    real, calls = getattr(index_module._Keeper, where), itertools.count(1)

    def counted(self, *args):
        is_it = next(calls) == after
        if is_it and early:
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(self, *args)
        if is_it:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(index_module._Keeper, where, counted)
    open_index(Lake(uri, create=False), KEY, folder=folder, rows_a_save=20)


def killed(lake, folder, *, where: str, after: int, early: bool = True) -> None:
    """Open the index in a process that is killed at its `after`th call of `where`."""
    child = PROCESSES.Process(target=open_and_die, args=(lake.uri, folder, where, after, early))
    child.start()
    child.join(timeout=60)
    assert child.exitcode == -signal.SIGKILL


@pytest.mark.xdist_group("forked")
@pytest.mark.parametrize(
    ("where", "early", "n_kept"),
    [("_write_state", True, 300), ("_write_state", False, 320), ("_save", True, 300)],
)
def test_a_kill_between_the_writes_leaves_a_whole_index(lake, folder, where, early, n_kept):
    """New files without their state are ignored, and the old ones are used."""
    open_index(lake, KEY, folder=folder)
    put(lake, 300, 40)
    killed(lake, folder, where=where, after=1, early=early)
    assert state_of(folder)["n_rows"] == n_kept
    added = []
    index = open_index(lake, KEY, folder=folder, on_rows=added.append)
    assert sum(added) == 340 - n_kept
    assert nearest(index, 330) == expected(340, 330)
    assert index.recall.n_rows == 340
    assert len(list(folder.iterdir())) == 3


@pytest.mark.xdist_group("forked")
def test_a_first_build_that_is_killed_goes_on_where_it_was_saved(tmp_path, folder):
    """Rows that the killed process had saved are not added again."""
    lake = Lake(tmp_path / "lake")
    put(lake, 0, 100)
    killed(lake, folder, where="_save", after=1, early=False)
    n_saved = state_of(folder)["n_rows"]
    assert n_saved == 20
    assert state_of(folder)["recall"] is None
    added = []
    index = open_index(lake, KEY, folder=folder, on_rows=added.append)
    assert sum(added) == 100 - n_saved
    assert index.recall.n_rows == 100


def test_recall_is_what_comparing_with_all_says():
    """Of a graph that lacks every second row, the figure is the one worked out by hand."""
    n = 120
    everything = vectors(0, n)
    graph = empty_graph(WIDTH)
    kept = everything.copy()
    kept[1::2] = -kept[1::2]
    add_rows(graph, 0, kept)
    ids = pl.Series("image_id", [name(number) for number in range(n)])
    rows = pl.LazyFrame({"image_id": ids, "embedding": everything.tolist()}).cast(
        {"embedding": pl.List(pl.Float32)}
    )
    measured = measure_recall(graph, ids, rows)
    shares = []
    for number in range(n):
        query = kept[number] / np.linalg.norm(kept[number])

        def ranked(matrix, query=query, number=number):
            cosines = matrix @ query / np.linalg.norm(matrix, axis=1)
            order = np.argsort(-cosines)
            return [int(row) for row in order if row != number][:10]

        shares.append(len(set(ranked(kept)) & set(ranked(everything))) / 10)
    assert measured.n_queries == n
    assert measured.at[10] == pytest.approx(np.mean(shares), abs=0.01)
    assert 0.1 < measured.at[10] < 0.9


def test_recall_is_measured_again_when_the_index_has_grown(lake, folder):
    """One row in 300 changes no figure; four do, and both state what they were measured at."""
    measured = open_index(lake, KEY, folder=folder).recall
    assert (measured.n_queries, measured.n_rows) == (200, 300)
    assert measured.at == pytest.approx({10: 1, 100: 1}, abs=0.01)
    put(lake, 300, 1)
    assert open_index(lake, KEY, folder=folder).recall.n_rows == 300
    put(lake, 301, 4)
    assert open_index(lake, KEY, folder=folder).recall.n_rows == 305


def test_the_recall_told_is_of_a_depth_that_was_measured():
    """For 5 and 10 the figure at 10, for 11 that at 100, beyond that the deepest."""
    measured = Recall(at={10: 0.99, 100: 0.97}, n_queries=200, n_rows=1000)
    assert [measured.for_k(k) for k in (5, 10, 11, 500)] == [
        (10, 0.99),
        (10, 0.99),
        (100, 0.97),
        (100, 0.97),
    ]


def test_two_at_once_make_one_index(lake, folder):
    """The second process waits for the first and finds the index complete."""
    added, found = [], []

    def ask():
        found.append(open_index(lake, KEY, folder=folder, on_rows=added.append))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(added) == 300
    assert [len(index) for index in found] == [300, 300, 300]


def test_each_lake_and_space_has_a_folder_of_its_own(lake, tmp_path, monkeypatch):
    """The folders lie below the machine's cache."""
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    other = ScoreKey(**{**KEY_FIELDS, "precision": "bf16"})
    folders = {index_folder(lake, KEY), index_folder(lake, other)}
    folders.add(index_folder(Lake(tmp_path / "second"), KEY))
    assert len(folders) == 3
    assert all(folder.parent == tmp_path / "cache" / "similar" for folder in folders)


KEY_FIELDS = {
    field: getattr(KEY, field) for field in ("detector", "weights_sha256", "profile", "precision")
}


def test_a_folder_that_cannot_be_made_is_a_store_error(lake, tmp_path):
    """The message names another folder, or no index, as a way out."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"ASSAY_CACHE.*--exact"):
        open_index(lake, KEY, folder=tmp_path / "file" / "index")


def test_no_embeddings_no_index(lake, folder):
    """A space that nothing was scored in cannot be asked."""
    nothing = ScoreKey(**{**KEY_FIELDS, "precision": "fp16"})
    with pytest.raises(InputError, match="no embedding"):
        open_index(lake, nothing, folder=folder)


def test_embeddings_of_different_lengths_are_refused(lake, folder):
    """A table that mixes widths under one detector is damaged, and said to be."""
    put(lake, 300, 2, embedding=[1.0, 2.0])
    with pytest.raises(StoreError, match=r"embeddings of (16 and of 2|2 and of 16) numbers"):
        open_index(lake, KEY, folder=folder)
