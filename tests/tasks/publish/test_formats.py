"""Plain Parquet and tar shards open in the readers people use, and come out the same each time."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest
import webdataset
from lakes import Made, Shot, drawn, lake_of
from PIL import Image
from printed_commands import shown_by_command

from assay.data.errors import GateRefused
from assay.flows.dry_run.datasets import publish_effects
from assay.flows.plain.references import Dataset
from assay.tasks.publish.publish import PublishResult, publish
from assay.tasks.publish.rows import FEATURES

SHARES = (0.6, 0.2, 0.2)
SHOTS = [
    Shot(
        name=f"p{i}",
        seed=i,
        prob=(i + 0.5) / 12,
        label=("real", "fake", None)[i % 3],
        domain="art",
        size=(80, 64),
    )
    for i in range(12)
]
LABELS = {shot.name: shot.label for shot in SHOTS}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return lake_of(tmp_path_factory.mktemp("lake"), SHOTS)


@pytest.fixture(scope="module")
def parquet(made: Made, tmp_path_factory: pytest.TempPathFactory) -> PublishResult:
    out = tmp_path_factory.mktemp("parquet") / "out"
    return publish(made.lake, out, format="parquet", fractions=SHARES)


@pytest.fixture(scope="module")
def shards(made: Made, tmp_path_factory: pytest.TempPathFactory) -> PublishResult:
    out = tmp_path_factory.mktemp("shards") / "out"
    return publish(made.lake, out, format="webdataset", fractions=SHARES)


def raw_by_id(made: Made) -> dict[str, bytes]:
    return {made.ids[shot.name]: drawn(shot) for shot in SHOTS}


def label_by_id(made: Made) -> dict[str, str | None]:
    return {made.ids[name]: label for name, label in LABELS.items()}


def content(folder: Path) -> dict[str, str]:
    return {
        file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def test_polars_reads_bytes_and_labels_as_text(made: Made, parquet: PublishResult) -> None:
    """All files are one frame; `image` is what was stored, `label` its text or null."""
    rows = pl.read_parquet(f"{parquet.out}/data/*.parquet")
    assert rows.columns == ["image", "image_id", "split", *list(FEATURES)[2:]]
    assert dict(rows.select("image_id", "image").iter_rows()) == raw_by_id(made)
    assert dict(rows.select("image_id", "label").iter_rows()) == label_by_id(made)
    assert dict(rows["split"].value_counts().iter_rows()) == parquet.splits


def test_duckdb_reads_plain_parquet(made: Made, parquet: PublishResult) -> None:
    """Labels and splits are conditions in SQL; the image is a BLOB."""
    rows = duckdb.sql(
        f"select image_id, image from '{parquet.out}/data/*.parquet' where label = 'fake'"
    ).fetchall()
    fakes = {image_id for image_id, label in label_by_id(made).items() if label == "fake"}
    assert dict(rows) == {key: raw for key, raw in raw_by_id(made).items() if key in fakes}


def test_pandas_reads_plain_parquet(made: Made, parquet: PublishResult) -> None:
    """Pillow opens the bytes of a cell."""
    rows = pd.concat(pd.read_parquet(f"{parquet.out}/{file}") for file in parquet.files)
    assert dict(zip(rows["image_id"], rows["image"], strict=True)) == raw_by_id(made)
    assert Image.open(io.BytesIO(rows["image"].iloc[0])).size == (80, 64)


def test_plain_parquet_says_nothing_to_datasets(parquet: PublishResult) -> None:
    """There are no features in the metadata that would make `image` something else."""
    schema = pq.read_schema(Path(parquet.out) / parquet.files[0])
    assert schema.metadata is None
    assert (str(schema.field("image").type), str(schema.field("label").type)) == (
        "binary",
        "string",
    )


def test_a_tar_has_each_image_followed_by_its_row(made: Made, shards: PublishResult) -> None:
    """Names are the ids; nothing of the machine or the time is in the headers."""
    raws, rows = {}, {}
    for name in shards.files:
        with tarfile.open(f"{shards.out}/{name}") as tar:
            members = tar.getmembers()
            for image, row in zip(members[::2], members[1::2], strict=True):
                stem, _, kind = image.name.partition(".")
                assert (kind, row.name) == ("jpg", f"{stem}.json")
                raws[stem] = tar.extractfile(image).read()
                rows[stem] = json.loads(tar.extractfile(row).read())
                assert rows[stem]["split"] == Path(name).name.partition("-")[0]
        headers = {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for m in members}
        assert headers == {(0, 0, 0, "", "", 0o644)}
    assert raws == raw_by_id(made)
    assert {key: row["label"] for key, row in rows.items()} == label_by_id(made)
    assert {frozenset(row) for row in rows.values()} == {
        frozenset(FEATURES) - {"image"} | {"split"}
    }


def test_the_package_webdataset_reads_the_shards(made: Made, shards: PublishResult) -> None:
    """Samples have a key, the decoded image and the row."""
    urls = [f"{shards.out}/{name}" for name in shards.files]
    samples = list(webdataset.WebDataset(urls, shardshuffle=False).decode("pil"))
    assert {s["__key__"]: s["json"]["label"] for s in samples} == label_by_id(made)
    assert {s["jpg"].size for s in samples} == {(80, 64)}


def test_the_rows_of_all_formats_are_the_same(
    made: Made, parquet: PublishResult, shards: PublishResult, tmp_path: Path
) -> None:
    """Splits, groups and scores do not depend on the format; only the label's form does."""
    hub = publish(made.lake, tmp_path / "out", fractions=SHARES)
    frames = [
        Dataset(
            lake=made.lake.uri,
            out=result.out,
            splits=result.splits,
            labels=result.labels,
            groups=result.groups,
            files=result.files,
        )
        .rows()
        .sort("image_id")
        for result in (hub, parquet, shards)
    ]
    order = sorted(frames[0].columns)
    first, second, third = (frame.select(order) for frame in frames)
    assert second.equals(third)
    assert first.drop("label").equals(second.drop("label"))
    assert first["label"].replace_strict({0: "real", 1: "fake", -1: None}).equals(second["label"])


@pytest.mark.parametrize("format_", ["parquet", "webdataset"])
def test_the_same_lake_gives_the_same_bytes(made: Made, tmp_path: Path, format_: str) -> None:
    """Data files, card and lock of two publications differ in no byte."""
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        publish(made.lake, tmp_path / place / "out", format=format_, fractions=SHARES)
    first, second = (content(tmp_path / place) for place in ("one", "two"))
    assert first == second
    assert {"out/README.md", "out/VERSIONS.lock"} < set(first)


@pytest.mark.parametrize("format_", ["parquet", "webdataset"])
def test_the_lock_names_format_selection_and_hashes(
    made: Made, tmp_path: Path, format_: str
) -> None:
    """A condition takes the same images in each format, and the hashes are those of the files."""
    result = publish(made.lake, tmp_path / "out", format=format_, where="label = 'real'")
    lock = json.loads((tmp_path / "out" / "VERSIONS.lock").read_text())
    assert (lock["data_format"], lock["selection"]["where"]) == (format_, "label = 'real'")
    assert result.labels == {"real": 4}
    found = content(tmp_path / "out")
    assert {name: facts["sha256"] for name, facts in lock["files"].items()} == {
        name: found[name] for name in result.files
    }


@pytest.mark.parametrize("format_", ["parquet", "webdataset"])
def test_the_card_says_how_labels_are_written(made: Made, tmp_path: Path, format_: str) -> None:
    """The card of a format without classes names no numbers, and no features for `datasets`."""
    publish(made.lake, tmp_path / "out", format=format_)
    card = (tmp_path / "out" / "README.md").read_text()
    assert "`label` is `real`, `fake` (AI-generated)" in card
    assert "dataset_info" not in card
    suffix = {"parquet": "parquet", "webdataset": "tar"}[format_]
    assert f"path: data/train-*.{suffix}" in card


def test_the_gate_against_shortcuts_holds_for_tar_shards(tmp_path: Path) -> None:
    """Portraits that are real and landscapes that are fake are refused."""
    shots = [
        Shot(
            name=f"{label}{i}.jpg",
            seed=i + 100 * (label == "fake"),
            label=label,
            size=(84, 80) if label == "fake" else (80, 84),
        )
        for label in ("real", "fake")
        for i in range(32)
    ]
    made = lake_of(tmp_path / "lake", shots)
    with pytest.raises(GateRefused, match="the files alone tell fake from real"):
        publish(made.lake, tmp_path / "out", format="webdataset")
    assert not (tmp_path / "out").exists()


def test_images_encoded_alike_are_jpeg_files_in_the_tar(tmp_path: Path) -> None:
    """Names, rows and bytes describe the published image."""
    made = lake_of(tmp_path / "lake", [Shot(name=f"p{i}", seed=i) for i in range(2)])
    result = publish(made.lake, tmp_path / "out", format="webdataset", align_encoding=True)
    with tarfile.open(f"{result.out}/{result.files[0]}") as tar:
        image, row = tar.getmembers()[:2]
        assert image.name.endswith(".jpg")
        assert Image.open(tar.extractfile(image)).size == (384, 384)
        assert json.loads(tar.extractfile(row).read())["width_px"] == 384


def test_the_printed_commands_open_both_formats(
    parquet: PublishResult, shards: PublishResult
) -> None:
    """The code in the command shows columns, and files."""
    assert "'image_id'" in shown_by_command(parquet)
    assert ".json" in shown_by_command(shards)


def test_a_dry_run_names_the_kind_of_files(made: Made, tmp_path: Path) -> None:
    """Tar shards are announced as such."""
    effects = publish_effects(made.lake, tmp_path / "out", overwrite=False, format="webdataset")
    assert effects.writes[0].what == "rows in tar shards"
