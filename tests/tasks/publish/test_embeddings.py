"""Embeddings are published under the score key of the rows, in each format."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
import webdataset
from lakes import KEY, Made, Shot, lake_of

from assay.data.errors import ConfigError
from assay.tasks.publish.data_files.tar_shard import read_shard
from assay.tasks.publish.publish import publish
from assay.tasks.publish.rows import FEATURES


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Three images with the embedding (0, 1), and one whose scoring failed."""
    shots = [
        Shot(name=f"p{n}", seed=n, size=(80, 64), prob=None if n == 3 else 0.2, label="real")
        for n in range(4)
    ]
    return lake_of(tmp_path_factory.mktemp("made") / "lake", shots)


@pytest.mark.parametrize("format_", ["hf", "parquet"])
def test_a_column_of_fixed_size_lists_has_the_embeddings(
    made: Made, tmp_path: Path, format_: str
) -> None:
    """The embedding is that of the row's score, and null without a score."""
    result = publish(
        made.lake, tmp_path / "out", format=format_, embeddings=True, fractions=(1, 0, 0)
    )
    file = tmp_path / "out" / result.files[0]
    field = pq.read_schema(file).field("embedding")
    assert (field.type.list_size, str(field.type.value_type)) == (2, "float")
    rows = pl.read_parquet(file)
    assert rows.filter(pl.col("embedding").is_null())["image_id"].to_list() == [made.ids["p3"]]
    matrix = rows.drop_nulls("embedding")["embedding"].to_numpy()
    assert matrix.dtype == np.float32
    assert matrix.tolist() == [[0, 1]] * 3
    read = duckdb.sql(f"select embedding from '{file}' where embedding is not null").fetchall()
    assert [tuple(vector) for (vector,) in read] == [(0, 1)] * 3
    card = (tmp_path / "out" / "README.md").read_text()
    assert "embedding of the stored image, 2 numbers (float32)" in card
    assert json.loads((tmp_path / "out" / "VERSIONS.lock").read_text())["embedding_size"] == 2


def test_datasets_reads_embeddings_with_their_feature(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The card and the files declare the same features."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets

    publish(made.lake, tmp_path / "out", embeddings=True, fractions=(1, 0, 0))
    loaded = datasets.load_dataset(
        str(tmp_path / "out"), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert loaded.features["embedding"] == datasets.List(datasets.Value("float32"), length=2)
    vectors = dict(zip(loaded["image_id"], loaded["embedding"], strict=True))
    assert vectors[made.ids["p0"]] == [0, 1]
    assert vectors[made.ids["p3"]] is None


def test_a_tar_shard_has_an_array_per_sample(made: Made, tmp_path: Path) -> None:
    """The package webdataset decodes it; a sample without a score has none."""
    result = publish(
        made.lake,
        tmp_path / "out",
        format="webdataset",
        embeddings=True,
        fractions=(1, 0, 0),
    )
    url = f"{result.out}/{result.files[0]}"
    samples = list(webdataset.WebDataset([url], shardshuffle=False).decode())
    vectors = {sample["__key__"]: sample.get("npy") for sample in samples}
    assert vectors[made.ids["p0"]].tolist() == [0, 1]
    assert vectors[made.ids["p0"]].dtype == np.float32
    assert vectors[made.ids["p3"]] is None
    assert {sample["json"]["precision"] for sample in samples} == {KEY.precision, None}
    assert read_shard(Path(url)).columns == ["split", *list(FEATURES)[1:]]


def test_without_embeddings_there_is_no_column(made: Made, tmp_path: Path) -> None:
    """A lake without scores has none to publish."""
    result = publish(made.lake, tmp_path / "out")
    assert "embedding" not in pq.read_schema(tmp_path / "out" / result.files[0]).names
    unscored = lake_of(tmp_path / "lake", [Shot(name="a")], is_scored=False)
    with pytest.raises(ConfigError, match=r"has an embedding \(there are no scores\)"):
        publish(unscored.lake, tmp_path / "none", embeddings=True)
    assert not (tmp_path / "none").exists()
