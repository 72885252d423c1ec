"""A run opens its lake once: each opening of an object store is a request to it."""

import pickle

import factories
import ingesting
import pytest
from tiny_models import timm_tensors, write_timm

from assay.data.errors import StoreError
from assay.data.schema import TABLES
from assay.data.store.lake import Lake
from assay.data.store.snapshots import Snapshot
from assay.flows.augmentation.run import augment
from assay.flows.request import Request
from assay.flows.run import run
from assay.synth.plan.plan_file import plan_of_dict


@pytest.fixture
def opened(monkeypatch):
    """Collect the addresses of opened lakes; failed attempts do not count."""
    addresses: list[str] = []
    real = Lake.__init__

    def counted(self, uri, *, create=True):
        real(self, uri, create=create)
        addresses.append(self.uri)

    monkeypatch.setattr(Lake, "__init__", counted)
    return addresses


@pytest.fixture
def request_(tmp_path):
    model = write_timm(tmp_path / "tiny", timm_tensors())
    files = {f"{seed}.jpg": factories.jpeg(seed=seed, size=(64, 64)) for seed in range(3)}
    source = ingesting.put(tmp_path / "pictures", files)
    return Request(
        lake=str(tmp_path / "lake"),
        sources=(str(source),),
        detector=str(model),
        backend="torch",
        views="tiles",
    )


def test_a_run_opens_its_lake_once(request_, opened, tmp_path):
    """With every step of it, in a new lake, and again where all is known but one image."""
    assert run(request_).scored == 3
    assert opened == [request_.lake]
    ingesting.put(tmp_path / "pictures", {"new.jpg": factories.jpeg(seed=9)})
    assert run(request_).scored == 1
    assert opened == [request_.lake] * 2


def test_chunks_and_shards_open_it_no_more_often(request_, opened, monkeypatch):
    """Whatever the number of portions that a run is worked on in."""
    monkeypatch.setattr("assay.flows.run.IMAGES_PER_TASK", 1)
    assert run(request_, flow="ingest").stored == 3
    assert run(Request(lake=request_.lake, detector=request_.detector), flow="score").scored == 3
    assert len(opened) == 2


def test_augment_opens_its_lake_once(request_, opened, tmp_path):
    """For its parents, its run and its table alike."""
    run(request_)
    opened.clear()
    request = Request(lake=request_.lake, detector=request_.detector, backend="torch")
    plan = {"parents": {"choose": "any"}, "make": [{"method": "launder", "condition": ["jpeg-50"]}]}
    augment(request, plan_of_dict(plan, folder=tmp_path))
    assert len(opened) == 1


def test_a_lake_crosses_to_another_process_as_its_address(request_, opened):
    """Its tables and its store stay: the other process opens it by itself."""
    lake = Lake(request_.lake)
    sent = pickle.dumps(lake)
    assert len(sent) < 200 + len(lake.uri)
    assert pickle.loads(sent).uri == lake.uri
    assert opened == [lake.uri] * 2


def test_a_run_without_sources_makes_no_lake(tmp_path, opened):
    """Nothing is opened where there is nothing."""
    with pytest.raises(StoreError, match="there is no lake"):
        run(Request(lake=str(tmp_path / "none"), detector="mini"), flow="score")
    assert opened == []


@pytest.fixture
def reads(monkeypatch):
    """Collect the tables that are scanned whole, and the versions that are opened to be read."""
    seen = {"whole": [], "opened": []}
    scan, made = Lake.scan, Snapshot.__init__

    def scanned(self, table, version=None):
        seen["whole"].append(table)
        return scan(self, table, version)

    def opened(self, table):
        seen["opened"].append((table.table_uri.rstrip("/").rpartition("/")[2], table.version()))
        made(self, table)

    monkeypatch.setattr(Lake, "scan", scanned)
    monkeypatch.setattr(Snapshot, "__init__", opened)
    return seen


def test_a_run_of_a_batch_reads_no_table_whole(request_, reads, tmp_path, monkeypatch):
    """New images, known ones and their report cost the same in a lake of many files."""
    monkeypatch.setattr("assay.flows.run.IMAGES_PER_TASK", 1)
    assert run(request_).scored == 3
    files = {f"{seed}.jpg": factories.jpeg(seed=seed, size=(64, 64)) for seed in range(20, 25)}
    other = ingesting.put(tmp_path / "others", files)
    run(request_.model_copy(update={"sources": (str(other),)}))
    folder = ingesting.put(tmp_path / "new", {"n.jpg": factories.jpeg(seed=99)})
    for scored in (1, 0):
        reads["whole"].clear()
        reads["opened"].clear()
        done = run(request_.model_copy(update={"sources": (str(folder),)}))
        assert (done.scored, done.unchanged) == (scored, 1 - scored)
        # Which runs are open is read from two narrow columns.
        assert set(reads["whole"]) == {"runs"}
        assert len(reads["opened"]) == len(set(reads["opened"]))
        # A table is opened at most once beside each commit to it.
        assert len(reads["opened"]) <= len(TABLES) + 7
