"""A source of an installed package goes all the way, from the command to the lake."""

import os
import subprocess
import sys

from assay.data.sources.find import SourceOptions, find_items
from assay.data.store.lake import Lake
from assay.tasks.batches import batch_id_of, chunks
from assay.tasks.ingest import ingest_chunk


def test_its_images_come_into_the_lake_once(plugin, tmp_path):
    """A second run reads none of them again."""
    lake, options = Lake(tmp_path / "lake"), SourceOptions()
    batch_id = batch_id_of(["example://10"], options)
    for run in ("run-1", "run-2"):
        for index, chunk in enumerate(chunks(find_items(["example://10"], options), max_items=4)):
            counts = ingest_chunk(
                lake,
                chunk,
                batch_id=batch_id,
                run_id=run,
                chunk_index=index,
                options=options,
                n_workers=2,
            )
            assert counts.unchanged == (0 if run == "run-1" else len(chunk))
    rows = lake.scan("sightings").collect()
    assert rows.height == rows["image_id"].n_unique() == 10
    assert sorted(rows["label"]) == ["fake"] * 5 + ["real"] * 5


def test_the_command_moderates_it(plugin, tmp_path):
    """In a process of its own, from the list of items to scores."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "assay", "moderate", "example://10"),
            *("--lake", "lake", "--detector", "mini"),
        ],
        cwd=tmp_path,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "PREFECT_HOME": str(tmp_path / "prefect")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lake = Lake(tmp_path / "lake", create=False)
    assert lake.scan("scores").collect().height == 10
    assert set(lake.scan("sightings").collect()["source_uri"]) == {
        f"example://{number}" for number in range(10)
    }
