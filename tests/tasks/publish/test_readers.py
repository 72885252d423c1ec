"""Training code reads a dataset: streamed, by several workers, as frames, and learns from it."""

from __future__ import annotations

import io
import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import webdataset
from import_graph import ROOT
from lakes import Made, Shot, lake_of
from PIL import Image
from processes import PROCESSES
from torch.utils.data import DataLoader

from assay.tasks.publish import publish as publish_module
from assay.tasks.publish.publish import PublishResult, publish


def lit(seed: int, *, from_above: bool) -> bytes:
    """Return blobs that are brighter at the top, or at the bottom; files of one kind."""
    rng = np.random.default_rng(seed)
    blobs = Image.fromarray(rng.integers(0, 256, size=(8, 8, 3), dtype=np.uint8))
    pixels = np.asarray(blobs.resize((96, 96), Image.Resampling.BICUBIC)).astype(float)
    light = np.linspace(1, 0.3, 96)[:, None, None]
    out = io.BytesIO()
    shaded = pixels * (light if from_above else light[::-1])
    Image.fromarray(shaded.astype(np.uint8)).save(out, "JPEG", quality=85)
    return out.getvalue()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """40 real images lit from above, and 40 fakes lit from below."""
    shots = [
        Shot(
            name=f"{n}",
            raw=lit(n, from_above=n % 2 == 0),
            label="fake" if n % 2 else "real",
            size=(96, 96),
        )
        for n in range(80)
    ]
    return lake_of(tmp_path_factory.mktemp("made") / "lake", shots)


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep `datasets` off the network and in a cache of the test's own."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "hf")
    return tmp_path / "hf"


def in_small_files(
    made: Made, out: Path, monkeypatch: pytest.MonkeyPatch, format_: str
) -> PublishResult:
    monkeypatch.setattr(publish_module, "MAX_FILE_BYTES", 30_000)
    result = publish(made.lake, out, format=format_, fractions=(0.6, 0.1, 0.3))
    assert len(result.files) > 6
    return result


def test_datasets_streams_images_without_a_copy(made: Made, tmp_path: Path, offline: Path) -> None:
    """Rows come one by one, with decoded images; nothing is written to the cache."""
    import datasets

    result = publish(made.lake, tmp_path / "out", fractions=(0.6, 0.1, 0.3))
    streamed = datasets.load_dataset(result.out, split="train", streaming=True)
    rows = list(streamed)
    assert len(rows) == result.splits["train"]
    assert {row["image"].size for row in rows} == {(96, 96)}
    names = streamed.features["label"].names
    real = next(row for row in rows if names[row["label"]] == "real")
    pixels = np.asarray(real["image"])
    assert pixels[:20].mean() > 2 * pixels[-20:].mean()
    assert not list(offline.rglob("*.arrow"))


def test_two_workers_of_a_loader_read_each_image_once(
    made: Made, tmp_path: Path, offline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A streamed dataset is divided by its files; nothing is read twice or left out."""
    import datasets

    result = in_small_files(made, tmp_path / "out", monkeypatch, "hf")
    streamed = datasets.load_dataset(result.out, split="train", streaming=True)
    wanted = streamed.select_columns(["image_id", "label"])
    loader = DataLoader(wanted, batch_size=8, num_workers=2, multiprocessing_context=PROCESSES)
    ids = [image_id for batch in loader for image_id in batch["image_id"]]
    assert len(ids) == len(set(ids)) == result.splits["train"]


def test_two_workers_read_tar_shards(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package webdataset divides the shards of a split among them."""
    result = in_small_files(made, tmp_path / "out", monkeypatch, "webdataset")
    urls = [f"{result.out}/{name}" for name in result.files if "train-" in name]
    samples = webdataset.WebDataset(urls, shardshuffle=False).to_tuple("__key__", "jpg")
    loader = DataLoader(samples, batch_size=None, num_workers=2, multiprocessing_context=PROCESSES)
    keys = [key for key, raw in loader if raw[:2] == b"\xff\xd8"]
    assert len(keys) == len(set(keys)) == result.splits["train"]


def test_pandas_reads_the_files_of_datasets(made: Made, tmp_path: Path) -> None:
    """An image is a cell with its bytes, a label the number of its class."""
    result = publish(made.lake, tmp_path / "out")
    rows = pd.concat(pd.read_parquet(f"{result.out}/{file}") for file in result.files)
    assert rows["label"].value_counts().to_dict() == {0: 40, 1: 40}
    assert Image.open(io.BytesIO(rows["image"].iloc[0]["bytes"])).size == (96, 96)


def test_a_ten_line_loop_learns_from_a_dataset(
    made: Made,
    tmp_path: Path,
    offline: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The gate finds no shortcut, and of the held-out images at least nine of ten are told."""
    result = publish(made.lake, tmp_path / "out", fractions=(0.6, 0.1, 0.3))
    assert result.shortcuts.files is not None
    assert result.shortcuts.files.low <= 0.6
    monkeypatch.setattr(sys, "argv", ["train_on_dataset.py", result.out])
    runpy.run_path(str(ROOT / "examples" / "train_on_dataset.py"), run_name="__main__")
    said = capsys.readouterr().out
    found = re.search(r"accuracy on (\d+) images of the test split: (\d\.\d+)", said)
    assert found is not None
    assert int(found[1]) == result.splits["test"]
    assert float(found[2]) >= 0.9
