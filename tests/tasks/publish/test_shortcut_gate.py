"""The gate against shortcuts refuses, warns, or is passed by encoding all images alike."""

from __future__ import annotations

import io
import json
import logging
from pathlib import Path

import polars as pl
import pytest
from lakes import Made, Shot, lake_of
from PIL import Image

from assay.data.errors import GateRefused
from assay.tasks.publish.publish import publish


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """32 real images in portrait and 32 fake ones in landscape, of the same kind of content."""
    shots = [
        Shot(
            name=f"{label}{i}.jpg",
            seed=i + 100 * (label == "fake"),
            label=label,
            size=(404, 400) if label == "fake" else (400, 404),
        )
        for label in ("real", "fake")
        for i in range(32)
    ]
    return lake_of(tmp_path_factory.mktemp("lake"), shots)


def test_files_that_tell_the_classes_apart_are_refused(made: Made, tmp_path: Path) -> None:
    """The message has the figure and what to do, and nothing is left behind."""
    with pytest.raises(GateRefused, match=r"AUC of 1\.00 .*--align-encoding"):
        publish(made.lake, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_allowed_shortcuts_are_warned_of_and_stand_in_card_and_lock(
    made: Made, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Who opens the dataset reads the figure first."""
    with caplog.at_level(logging.WARNING):
        result = publish(made.lake, tmp_path / "out", allow_shortcuts=True)
    assert "the files alone tell fake from real" in caplog.text
    assert result.shortcuts.files is not None
    assert result.shortcuts.files.low > 0.6
    lock = json.loads((tmp_path / "out" / "VERSIONS.lock").read_text())
    assert lock["shortcuts"]["files"]["value"] == result.shortcuts.files.value
    card = (tmp_path / "out" / "README.md").read_text()
    assert "The published files tell fake from real without their content" in card


def test_images_encoded_alike_pass_and_say_so(made: Made, tmp_path: Path) -> None:
    """Both figures are stated; rows describe the bytes that are published."""
    result = publish(made.lake, tmp_path / "out", align_encoding=True)
    assert result.shortcuts.files is not None
    assert result.shortcuts.aligned is not None
    assert result.shortcuts.aligned.low <= 0.6 < result.shortcuts.files.low
    rows = pl.concat(pl.read_parquet(file) for file in (tmp_path / "out" / "data").iterdir())
    assert set(rows["format"]) == {"JPEG"}
    assert set(rows["encoding"]) == {"centre square of 384 px, JPEG 90"}
    with Image.open(io.BytesIO(rows["image"][0]["bytes"])) as image:
        assert image.size == (rows["width_px"][0], rows["height_px"][0]) == (384, 384)


def test_few_labelled_images_are_not_measured(tmp_path: Path) -> None:
    """The card says that nothing was measured."""
    shots = [Shot(name=f"{i}.jpg", seed=i, label="real") for i in range(3)]
    made = lake_of(tmp_path / "lake", shots)
    result = publish(made.lake, tmp_path / "out")
    assert result.shortcuts.files is None
    assert "Not measured" in (tmp_path / "out" / "README.md").read_text()


def test_labels_from_decisions_are_measured_as_they_are_published(tmp_path: Path) -> None:
    """Images without other labels whose decisions follow their dimensions are refused."""
    shots = [
        Shot(
            name=f"{number}.jpg",
            seed=number,
            prob=0.99 if number % 2 else 0.01,
            size=(484, 480) if number % 2 else (480, 484),
        )
        for number in range(64)
    ]
    made = lake_of(tmp_path / "lake", shots)
    assert publish(made.lake, tmp_path / "unlabelled").shortcuts.files is None
    with pytest.raises(GateRefused, match="the files alone tell fake from real"):
        publish(made.lake, tmp_path / "out", labels_from_decisions=True)
