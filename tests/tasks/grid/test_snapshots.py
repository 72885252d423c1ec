"""Snapshots of a lake: what `assay ls` knows of an image, and no older than the last answer."""

import json
from datetime import timedelta

import lakes
import polars as pl
import pytest
from lakes import Shot

from assay.data.errors import InputError, MissingVersion, StoreError
from assay.data.store.lake import Lake
from assay.tasks.browse.images import COLUMNS, known_images, scope_of
from assay.tasks.grid.columns import SCHEMA
from assay.tasks.grid.snapshots import Snapshots
from assay.tasks.grid.table import table_of
from assay.tasks.review.answer import Answer, withdrawal
from assay.tasks.review.journal import Journal

SHOTS = [
    Shot(name="a.jpg", prob=0.05, seed=1, domain="news", label="real"),
    Shot(name="b.jpg", prob=0.4, seed=2, domain="art", label="fake"),
    Shot(name="c.jpg", prob=0.9, seed=3, domain="art", size=(100, 100)),
    Shot(name="d.jpg", prob=0.99, seed=4, ai_declared="trainedAlgorithmicMedia"),
    Shot(name="e.jpg", prob=None, seed=5),
]


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    return lakes.lake_of(tmp_path_factory.mktemp("grid") / "lake", SHOTS)


@pytest.fixture
def made(template, tmp_path):
    return lakes.copied(template, tmp_path / "lake")


@pytest.fixture
def kept(made):
    snapshots = Snapshots(made.lake)
    yield snapshots
    snapshots.close()


def labels(made, snapshot):
    """State of the label by the first letter of the shot."""
    names = {image_id: name[0] for name, image_id in made.ids.items()}
    rows = snapshot.table.select("image_id", "label").iter_rows()
    return {names[image_id]: label for image_id, label in rows}


def answer(made, name, label, reviewer="ann", **more):
    return Answer(
        image_id=made.ids[f"{name}.jpg"],
        label=label,
        reviewer=reviewer,
        origin="page",
        kind="grid",
        **more,
    )


@pytest.mark.parametrize("rows_at_a_time", [1, 2, 100])
def test_a_table_is_what_is_known_of_the_images(made, rows_at_a_time):
    """However many parts it is read in; reasons are joined, and it is sorted by id."""
    scope = scope_of(made.lake)
    table = table_of(made.lake, scope, rows_at_a_time=rows_at_a_time)
    assert table.schema == SCHEMA
    assert table["image_id"].is_sorted()
    known = known_images(made.lake, scope).sort("image_id").collect()
    for name in set(SCHEMA) & set(COLUMNS) - {"reasons", "label"}:
        assert table[name].cast(known.schema[name]).to_list() == known[name].to_list()
    assert [words.split() for words in table["reasons"].to_list()] == known["reasons"].to_list()


def test_the_state_of_a_label_says_what_people_said(made, kept):
    """Agreed, in dispute, unsure, or nothing; a source's label where nobody answered."""
    with Journal(made.lake) as journal:
        journal.record(
            [
                answer(made, "b", "real"),
                answer(made, "c", "real"),
                answer(made, "c", "fake", "bob"),
                answer(made, "d", "unsure"),
            ]
        )
        before = labels(made, kept.get())
    expected = {"a": "real", "b": "real", "c": "disputed", "d": "unsure", "e": "none"}
    assert before == expected
    # The answers have moved into the table meanwhile.
    assert labels(made, kept.settled()) == expected


def test_a_person_sees_their_own_answer_at_once(made, kept):
    """Also while the answer waits in the journal, and that it was taken back."""
    kept.get()
    with Journal(made.lake) as journal:
        said = answer(made, "e", "laundered")
        journal.record([said])
        assert labels(made, kept.get())["e"] == "laundered"
        back = withdrawal(said.as_row(), origin="page")
        journal.record([back])
        assert labels(made, kept.get())["e"] == "none"


def test_answers_of_other_processes_are_seen_at_the_next_look(made, kept):
    """Nobody tells of them; the journal of the lake has them."""
    kept.get()
    with Journal(made.lake) as journal:
        journal.record([answer(made, "e", "fake")])
        assert labels(made, kept.settled())["e"] == "fake"
    assert labels(made, kept.settled())["e"] == "fake"


def test_new_rows_of_the_lake_arrive_without_reading_it_all(made, kept, monkeypatch):
    """A new image, a new sighting and new labels; the other rows stay."""
    kept.get()
    monkeypatch.setattr("assay.tasks.grid.snapshots._MANY", 1.0)
    monkeypatch.setattr("assay.tasks.grid.snapshots.table_of", None)
    for table in ("images", "sightings"):
        row = made.lake.scan(table).collect().head(1)
        at = pl.lit(lakes.START + timedelta(days=1)).dt.cast_time_unit("us")
        changes = {"image_id": pl.lit("0" * 64), "batch_id": pl.lit("other")}
        if table == "sightings":
            changes |= {"seen_at": at, "label": pl.lit("laundered")}
        made.lake.append(table, row.with_columns(**changes), txn=f"other:{table}")
    snapshot = kept.settled()
    assert snapshot.table.height == 6
    assert snapshot.table.row(0, named=True)["image_id"] == "0" * 64
    fresh = table_of(made.lake, scope_of(made.lake))
    assert snapshot.table.equals(fresh)


def test_versions_that_were_removed_are_read_as_a_whole(made, kept, monkeypatch):
    """A vacuum took the versions between two looks away."""
    kept.get()

    def gone(*_):
        raise MissingVersion("it was removed")

    monkeypatch.setattr(Lake, "added", gone)
    lakes.reviewed(made, "e.jpg", "fake")
    assert labels(made, kept.settled())["e"] == "fake"
    row = made.lake.scan("images").collect().head(1).with_columns(image_id=pl.lit("0" * 64))
    made.lake.append("images", row, txn="other")
    assert kept.settled().table.height == 6


def test_a_run_over_the_whole_lake_shares_its_table(made, kept):
    """A million rows are not read and held twice."""
    row = made.lake.scan("runs").collect().to_dicts()[0]
    params = json.loads(row["params"]) | {"batch_id": None}
    later = row | {"run_id": "20260302T000000Z-whole", "params": json.dumps(params)}
    made.lake.append("runs", [later], txn="whole")
    assert kept.get("20260302T000000Z-whole").table is kept.get().table


def test_a_run_has_its_own_snapshot(made, kept):
    """The images of its batch alone."""
    for table in ("images", "sightings"):
        row = made.lake.scan(table).collect().head(1)
        other = row.with_columns(image_id=pl.lit("0" * 64), batch_id=pl.lit("other"))
        made.lake.append(table, other, txn=f"other:{table}")
    assert kept.get().table.height == 6
    assert kept.get(made.run_id).table.height == 5
    with pytest.raises(InputError, match="no run nope"):
        kept.get("nope")
    with pytest.raises(InputError, match="no run nope"):
        kept.get("nope")


def test_rows_in_memory_are_bounded(made):
    """The snapshot that was used longest ago goes; it is read again when it is wanted."""
    kept = Snapshots(made.lake, max_rows=7)
    first = kept.get()
    run = kept.get(made.run_id)
    assert kept.get(made.run_id) is run
    assert kept.get() is not first
    assert kept.get().table.equals(first.table)
    kept.close()


def test_an_empty_lake_has_an_empty_snapshot(tmp_path):
    """Nothing was ingested yet."""
    kept = Snapshots(Lake(tmp_path / "lake"))
    assert kept.get().table.height == 0
    assert kept.get().folders == []
    kept.close()


def test_a_lake_that_cannot_be_read_for_a_while_is_read_later(made, kept, monkeypatch):
    """An earlier state is shown meanwhile, and nothing where there is none yet."""
    changed = Snapshots._changed

    def away(*_):
        raise StoreError("the store is away")

    monkeypatch.setattr(Snapshots, "_changed", away)
    with pytest.raises(StoreError, match="is away"):
        kept.get()
    monkeypatch.setattr(Snapshots, "_changed", changed)
    assert labels(made, kept.get())["e"] == "none"
    lakes.reviewed(made, "e.jpg", "fake")
    monkeypatch.setattr(Snapshots, "_changed", away)
    assert labels(made, kept.settled())["e"] == "none"
    monkeypatch.setattr(Snapshots, "_changed", changed)
    assert labels(made, kept.settled())["e"] == "fake"
