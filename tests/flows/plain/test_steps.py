"""Steps called one by one give what a run gives, and pass on values that can be sent."""

import dataclasses
import json
import pickle
from pathlib import Path

import factories
import polars as pl
import pytest
from tiny_models import MINI_ON_TORCH

import assay
from assay.data.errors import ConfigError, InputError
from assay.data.store.lake import Lake
from assay.flows.plain import (
    Augmented,
    Batch,
    Dataset,
    Decided,
    augment,
    decide,
    ingest,
    publish,
    report,
    score,
)
from assay.tasks.runs.run_record import find_run

PLAN = {"parents": {"choose": "any"}, "make": [{"method": "launder", "condition": ["jpeg-50"]}]}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chain:
    """The values of one chain of steps over a folder."""

    folder: Path
    source: Path
    batch: Batch
    scored: assay.flows.plain.Scored
    decided: Decided


def rows_of(lake, *tables):
    return [Lake(lake, create=False).n_rows(table) for table in tables]


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """Ingest, score and decide a folder of three images and a text."""
    folder = tmp_path_factory.mktemp("chain")
    source = folder / "in"
    source.mkdir()
    for number in range(3):
        image = factories.photo(seed=number, size=(320, 300))
        (source / f"{number}.jpg").write_bytes(factories.encoded(image, "JPEG"))
    (source / "words.txt").write_bytes(b"words")
    batch = ingest(source, lake=folder / "lake", domain="ads")
    scored = score(batch, **MINI_ON_TORCH)
    return Chain(folder=folder, source=source, batch=batch, scored=scored, decided=decide(scored))


def test_a_chain_of_steps_gives_what_a_run_gives(chain, tmp_path):
    """Counts, scores and decisions are those of `assay.moderate` on the same folder."""
    run = assay.moderate(
        chain.source, lake=tmp_path / "lake", domain="ads", quiet=True, **MINI_ON_TORCH
    )
    decided = chain.decided
    for name in ("items", "stored", "duplicates", "rejected", "scored", "failed", "decisions"):
        assert getattr(decided, name) == getattr(run, name), name
    columns = ["image_id", "source_uri", "prob_fake", "decision", "reasons"]
    assert decided.rows().select(columns).equals(run.scores().select(columns))
    assert sorted(decided.ids()) == sorted(decided.rows()["image_id"])
    assert chain.batch.rows()["prob_fake"].null_count() == 3


def test_each_step_is_a_run_of_the_lake(chain):
    """The record names the sources, the batch and the run before; the report is drawn from it."""
    lake = Lake(chain.batch.lake, create=False)
    flows = {}
    for value in (chain.batch, chain.scored, chain.decided):
        record = find_run(lake, value.run_id)
        flows[record.flow] = record.status
        assert record.params["sources"] == [str(chain.source)]
        assert record.batch_id == chain.batch.batch_id
    assert flows == dict.fromkeys(("ingest", "score", "decide"), "completed")
    assert find_run(lake, chain.decided.run_id).params["after_run"] == chain.scored.run_id
    page = Path(report(chain.decided)).read_text()
    assert chain.decided.run_id in page
    assert Path(report(chain.batch, out=chain.folder / "batch.html")).is_file()


def test_a_step_that_is_repeated_does_no_work_and_changes_nothing(chain):
    """Nothing is read, scored or written again but the rows of the runs themselves."""
    tables = ("images", "sightings", "scores", "decisions")
    before = rows_of(chain.batch.lake, *tables)
    batch = ingest(chain.source, lake=chain.batch.lake, domain="ads")
    scored = score(batch, **MINI_ON_TORCH)
    decided = decide(scored)
    assert (batch.batch_id, batch.unchanged) == (chain.batch.batch_id, 4)
    assert (scored.scored, scored.already_scored) == (0, 3)
    assert decided.decisions == chain.decided.decisions
    assert rows_of(chain.batch.lake, *tables) == before


def test_settings_of_a_step_hold_for_those_that_follow(chain, monkeypatch, tmp_path):
    """The policy of `score` decides unless `decide` names one; variables count where they are."""
    policy = tmp_path / "policy.toml"
    policy.write_text((Path(assay.__file__).parent / "tasks/decide/policy.toml").read_text())
    monkeypatch.setenv("ASSAY_POLICY", str(policy))
    monkeypatch.setenv("ASSAY_N_WORKERS", "1")
    # A limit of whole runs, whose message needs a server.
    monkeypatch.setenv("ASSAY_NOTIFY", "slack-webhook/oncall")
    scored = score(chain.batch, **MINI_ON_TORCH)
    assert scored.settings["policy"] == str(policy)
    assert scored.settings["domain"] == "ads"
    assert not {"n_workers", "lake", "sources"} & set(scored.settings)
    monkeypatch.delenv("ASSAY_POLICY")
    assert decide(scored).settings["policy"] == str(policy)
    with pytest.raises(ConfigError, match=r"nowhere\.toml"):
        decide(scored, policy="nowhere.toml")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c: ingest(c.source, detector="mini"), "unknown setting 'detector'; allowed: .*lab"),
        (lambda c: ingest([]), "no sources"),
        (lambda c: score(c.batch, include="*.jpg"), "unknown setting 'include'; allowed: .*views"),
        (lambda c: score(c.batch, lake="other"), "lake is that of the batch"),
        (lambda c: publish([], "out"), "no batches"),
        (
            lambda c: publish([c.decided, dataclasses.replace(c.decided, policy_id="b")], "out"),
            "differ in policy_id: .* and b; publish them one by one",
        ),
        (
            lambda c: decide(dataclasses.replace(c.scored, weights_sha256="0" * 64)),
            "was scored by .*; score it again",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_what_does(chain, call, message, monkeypatch, tmp_path):
    """No run is recorded for it."""
    monkeypatch.chdir(tmp_path)
    before = rows_of(chain.batch.lake, "runs")
    with pytest.raises(ConfigError, match=message):
        call(chain)
    assert rows_of(chain.batch.lake, "runs") == before


def test_a_dataset_takes_the_filter_of_the_user(chain, tmp_path):
    """Ids of the batch's rows and a condition hold together; ids of other images are refused."""
    rows = chain.decided.rows()
    ids = rows.filter(pl.col("prob_fake") < 2)["image_id"].head(2)
    some = publish(chain.decided, tmp_path / "some", ids=ids, where="domain = 'ads'")
    assert (some.images, set(some.rows()["image_id"])) == (2, set(ids))
    assert "image" not in some.rows().columns
    with pytest.raises(InputError, match="1 of 2 ids are not of the batches: feed"):
        publish(chain.decided, tmp_path / "other", ids=[ids[0], "feed"])


def test_batches_of_one_lake_are_one_dataset(chain, tmp_path):
    """An image of two batches is published once, and a lake's address stands for all its images."""
    (tmp_path / "in").mkdir()
    image = factories.photo(seed=7, size=(320, 300))
    (tmp_path / "in" / "new.jpg").write_bytes(factories.encoded(image, "JPEG"))
    (tmp_path / "in" / "old.jpg").write_bytes((chain.source / "0.jpg").read_bytes())
    batch = ingest(tmp_path / "in", lake=chain.batch.lake)
    more = decide(score(batch, **MINI_ON_TORCH))
    assert (more.items, more.duplicates, more.scored) == (2, 1, 1)
    assert publish(more, tmp_path / "one").images == 2
    assert publish([chain.decided, more], tmp_path / "both").images == 4
    assert publish(chain.batch.lake, tmp_path / "lake").images >= 4


def test_made_images_are_a_decided_batch_of_the_lake(chain, tmp_path):
    """They can be reported, published and scored again like any other."""
    lake = tmp_path / "lake"
    ingest(chain.source, lake=lake)
    made = augment(PLAN, lake=lake, **MINI_ON_TORCH)
    assert (made.made, made.known, made.scored) == (3, 0, 3)
    again = augment(PLAN, lake=lake, **MINI_ON_TORCH)
    assert (again.made, again.known) == (0, 3)
    assert score(made, detector="mini").already_scored == 3
    whole = decide(score(lake=lake, **MINI_ON_TORCH))
    assert (whole.batch_id, whole.scored, whole.already_scored) == (None, 3, 3)
    assert sum(whole.decisions.values()) == 6
    assert publish(made, tmp_path / "made").images == 3
    assert Augmented.from_json(json.loads(json.dumps(made.to_json()))) == made


def test_values_can_be_pickled_and_sent_as_json(chain, tmp_path):
    """Another process goes on with what it received."""
    dataset = publish(chain.decided, tmp_path / "out")
    for value in (chain.batch, chain.scored, chain.decided, dataset):
        assert pickle.loads(pickle.dumps(value)) == value
        assert type(value).from_json(json.loads(json.dumps(value.to_json()))) == value
    assert isinstance(dataset, Dataset)
    with pytest.raises(dataclasses.FrozenInstanceError):
        chain.batch.lake = "other"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lake": 3}, "lake is not as in a Batch"),
        ({"other": 1}, "other is not as in a Batch"),
        ({"items": "many"}, "items is not as in a Batch"),
    ],
)
def test_a_value_that_was_not_sent_by_a_step_is_refused(chain, change, message):
    """The part that does not fit is named."""
    with pytest.raises(ConfigError, match=message):
        Batch.from_json(chain.batch.to_json() | change)
