"""A run merges the small files that it and earlier runs leave in the tables."""

import factories
import ingesting

from assay.data.store.lake import Lake
from assay.flows.request import Request
from assay.flows.run import run
from assay.tasks.lake.history import history


def test_a_large_batch_is_merged_while_it_is_ingested(tmp_path, monkeypatch):
    """Lookups of later portions go through few files; every item has its one row."""
    monkeypatch.setattr("assay.flows.run.IMAGES_PER_TASK", 1)
    monkeypatch.setattr("assay.flows.run.CHUNKS_PER_COMPACTION", 8)
    files = {f"{seed}.jpg": factories.jpeg(seed=seed, size=(64, 64)) for seed in range(10)}
    source = ingesting.put(tmp_path / "pictures", files)
    request = Request(lake=str(tmp_path / "lake"), sources=(str(source),))
    assert run(request, flow="ingest").stored == 10
    lake = Lake(request.lake)
    commits = [change.what for change in history(lake, tables=["sightings"])]
    assert commits == ["append"] * 2 + ["compact"] + ["append"] * 8 + ["create"]
    assert lake.n_rows("sightings") == lake.n_rows("images") == 10
    assert run(request, flow="ingest").unchanged == 10


def test_runs_that_write_little_are_merged_at_their_end(tmp_path):
    """After eight rows in `runs`, its files are one."""
    source = ingesting.put(tmp_path / "pictures", {"a.jpg": factories.jpeg(seed=1)})
    request = Request(lake=str(tmp_path / "lake"), sources=(str(source),))
    for _ in range(4):
        run(request, flow="ingest")
    lake = Lake(request.lake)
    assert len(lake.tables.listed("runs")) == 1
    assert lake.n_rows("runs") == 8
