"""A lake written by assay 0.1.0, stored beside this file: what it holds stays usable.

It has three generated images and a text file, listed from a folder that is not there any more.
A command that fails raises SystemExit.
"""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from assay.data.store.lake import Lake
from assay.flows.cli import main
from assay.flows.request import Request
from assay.flows.run import run
from assay.tasks.lake.forget import forget

STORED = Path(__file__).parent / "lake_0_1_0.zip"
LOGITS = {"ae93db3739ed": 2.48276, "b0962ae3a1b8": -0.09167, "de6a4c43de3e": 0.23490}


@pytest.fixture
def lake(tmp_path):
    with zipfile.ZipFile(STORED) as stored:
        stored.extractall(tmp_path / "lake")
    return tmp_path / "lake"


@pytest.fixture
def images(tmp_path):
    """Return the images of the lake: a ramp from 40 to 220 in one channel each."""
    ramp = np.linspace(40, 220, 450).astype(np.uint8)
    folder = tmp_path / "uploads"
    folder.mkdir()
    for channel, name in enumerate(("red", "green", "blue")):
        rgb_u8_hwc = np.zeros((440, 450, 3), np.uint8)
        rgb_u8_hwc[..., channel] = ramp
        Image.fromarray(rgb_u8_hwc).save(folder / f"{name}.png")
    return folder


def scores(lake):
    return Lake(str(lake), create=False).scan("scores").collect()


def test_its_scores_and_decisions_are_listed_as_they_were_written(lake, capsys):
    """`assay ls` shows the decisions of the version that made them."""
    main(["ls", "--lake", str(lake)])
    told = capsys.readouterr().out
    assert [line.split()[1] for line in told.splitlines() if line[:12] in LOGITS] == [
        "review",
        "flag",
        "review",
    ]
    found = {row["image_id"][:12]: row["logit"] for row in scores(lake).to_dicts()}
    assert found == pytest.approx(LOGITS, abs=1e-4)


def test_its_images_are_read_checked_and_published(lake, tmp_path, capsys):
    """Shards of 0.1.0 hold the images themselves; nothing of them counts as damage."""
    for verb in (["lake", "check", "--deep"], ["publish", "--to", str(tmp_path / "dataset")]):
        main([*verb, "--lake", str(lake)])
    assert "found  0 damages" in capsys.readouterr().out
    rows = pl.read_parquet(tmp_path / "dataset/data/*.parquet")
    sizes = {Image.open(io.BytesIO(raw["bytes"])).size for raw in rows["image"]}
    assert (len(rows), sizes) == (3, {(450, 440)})


def test_a_run_adds_to_it_and_stores_no_image_twice(lake, images):
    """Scores under today's profile stand beside the old ones, which keep their logits."""
    before = scores(lake)
    result = run(Request(lake=str(lake), sources=(str(images),), detector="mini", backend="torch"))
    assert (result.scored, result.rejected) == (3, 0)
    opened = Lake(str(lake), create=False)
    assert opened.scan("images").collect().height == 3
    after = scores(lake)
    assert after.height == 6
    assert after.filter(pl.col("run_id") == before["run_id"][0]).height == 3


def test_an_image_of_it_can_be_forgotten(lake, images, capsys):
    """Its bytes and rows go, also from files that lack later columns; the others stay."""
    opened = Lake(str(lake), create=False)
    image_id = opened.scan("images").collect()["image_id"].min()
    raw = opened.image(image_id)
    done = forget(opened, [image_id], by="ann")
    assert done.erased.rows == {"images": 1, "scores": 1}
    assert not any(raw in path.read_bytes() for path in lake.rglob("*.parquet"))
    main(["ingest", str(images), "--lake", str(lake), "--json"])
    again = json.loads(capsys.readouterr().out)
    assert (again["items"], again["rejected"]) == (3, 1)
    assert opened.scan("images").collect().height == 2
