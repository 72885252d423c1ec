"""Scores without a lake are those of a run, in the order of the images; the rest has reasons."""

from __future__ import annotations

import io
import weakref
from collections.abc import Iterator
from pathlib import Path

import datasets
import factories
import numpy as np
import polars as pl
import pytest
from PIL import Image

import assay
from assay.data.errors import ConfigError, InputError
from assay.data.images.inspect_image import inspect_image
from assay.flows.results.moderation import Moderation

ARRAYS = [np.asarray(factories.photo(seed=seed, size=(500 + seed, 440))) for seed in range(5)]
RAWS = [factories.jpeg(seed=seed, size=(440, 500)) for seed in range(5)]


@pytest.fixture(scope="module")
def detect() -> assay.Detector:
    return assay.Detector("mini")


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Moderation:
    """Moderate the arrays and the JPEGs."""
    lake = tmp_path_factory.mktemp("scored") / "lake"
    return assay.moderate([*ARRAYS, *RAWS], lake=lake, detector="mini", quiet=True)


def test_logits_and_embeddings_are_those_of_a_run(result: Moderation) -> None:
    """Within 1e-3, for the same bytes."""
    frame = assay.score([*ARRAYS, *RAWS], detector="mini", quiet=True)
    rows = result.to_polars()
    assert frame["row"].to_list() == list(range(10))
    assert frame["image_id"].to_list() == rows["image_id"].to_list()
    assert frame["logit"].to_numpy() == pytest.approx(rows["logit"].to_numpy(), abs=1e-3)
    assert frame["prob_fake"].to_numpy() == pytest.approx(rows["prob_fake"].to_numpy(), abs=1e-3)
    matrix = frame["embedding"].to_numpy()
    assert matrix.shape == (10, 192)
    assert np.abs(matrix - result.embeddings()).max() < 1e-3


def test_order_is_that_of_the_images_however_many_threads(detect: assay.Detector) -> None:
    """Also of images that differ in size, and repeated ones."""
    cells = [ARRAYS[n] for n in (3, 0, 3, 1)]
    one, four = (
        assay.score(cells, detector="mini", n_workers=n, quiet=True)["logit"].to_list()
        for n in (1, 4)
    )
    assert one == pytest.approx(four, abs=1e-3)
    assert one[0] == one[2]
    alone = [detect.logits(cell)[0] for cell in cells]
    assert one == pytest.approx(alone, abs=1e-3)


def test_what_cannot_be_read_is_a_row_with_a_reason(tmp_path: Path, detect: assay.Detector) -> None:
    """It has no score, and the images after it keep their places."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "cut.jpg").write_bytes(factories.truncated(RAWS[0]))
    (tmp_path / "good.jpg").write_bytes(RAWS[0])
    cells = [
        None,
        b"text",
        tmp_path / "missing.jpg",
        str(tmp_path / "cut.jpg"),
        tmp_path / "folder",
        Image.new("CMYK", (9, 9)),
        tmp_path / "good.jpg",
    ]
    frame = detect.score(cells)
    assert frame["status"].to_list() == ["failed"] * 6 + ["scored"]
    assert frame["reason"].to_list() == [
        "bad_row", "not_an_image", "not_found", "truncated", "not_an_image",
        "unsupported_format",
        None,
    ]  # fmt: skip
    assert frame["detail"].null_count() == 1
    for column in ("logit", "prob_fake", "embedding"):
        assert frame[column].is_null().to_list() == [True] * 6 + [False]
    assert np.isnan(detect(cells)).tolist() == [True] * 6 + [False]
    assert np.isnan(detect.embeddings(cells)).all(axis=1).tolist() == [True] * 6 + [False]


def test_images_come_from_wherever_they_are_held(tmp_path: Path, detect: assay.Detector) -> None:
    """A folder, a list of paths, a frame, a dataset and a generator give the same logits."""
    paths = [tmp_path / f"{n}.jpg" for n in range(3)]
    for path, raw in zip(paths, RAWS, strict=False):
        path.write_bytes(raw)
    expected = detect.logits(RAWS[:3])
    dataset = datasets.Dataset.from_dict({"image": list(map(str, paths))})
    for held in (
        tmp_path,
        paths,
        pl.DataFrame({"image": RAWS[:3]}),
        dataset.cast_column("image", datasets.Image()),
        (raw for raw in RAWS[:3]),
        (Image.open(io.BytesIO(raw)) for raw in RAWS[:3]),
    ):
        assert detect.logits(held).tolist() == expected.tolist()


def test_a_generator_is_drawn_as_its_images_are_scored(detect: assay.Detector) -> None:
    """Memory holds some images, not all of them."""
    drawn: list[weakref.ref[Image.Image]] = []
    n_held = []

    def images() -> Iterator[Image.Image]:
        for _ in range(1000):
            # Refused before the network, which would take a minute.
            image = Image.new("CMYK", (8, 8))
            drawn.append(weakref.ref(image))
            n_held.append(sum(one() is not None for one in drawn))
            yield image

    assert np.isnan(detect(images())).all()
    assert len(n_held) == 1000
    assert max(n_held) < 300


def test_what_an_array_must_be_is_said(detect: assay.Detector) -> None:
    """Floats are refused, in a list and from a generator."""
    floats = [ARRAYS[0] / 255]
    for held in (floats, iter(floats)):
        with pytest.raises(InputError, match="float64"):
            detect(held)
    with pytest.raises(TypeError, match="image 1 is an int"):
        detect(iter([ARRAYS[0], 7]))


def test_no_image_is_an_error_and_an_empty_generator_an_empty_frame(
    detect: assay.Detector, tmp_path: Path
) -> None:
    """An empty list is likely a mistake; the frame has its columns in any case."""
    with pytest.raises(InputError, match="without an image"):
        assay.score([], detector="mini")
    with pytest.raises(InputError, match="no such file"):
        detect(str(tmp_path / "missing"))
    frame = detect.score(iter([]))
    assert frame.schema == detect.score(ARRAYS[0]).schema
    assert detect.embeddings(iter([])).shape == (0, 192)


def test_a_detector_says_what_it_is(detect: assay.Detector, result: Moderation) -> None:
    """Its key is that of a run's scores; its card states its licence."""
    assert detect.key.detector == result.detector
    assert detect.card is not None
    assert detect.card.weights_licence == "Apache-2.0"
    assert repr(detect).startswith("<assay.Detector mini@")


def test_a_network_is_loaded_once(detect: assay.Detector, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another detector of the same settings shares it."""
    from assay.flows import judging

    detect(ARRAYS[0])
    monkeypatch.setattr(judging, "load_detector", lambda *_args, **_settings: pytest.fail("loaded"))
    assert assay.Detector("mini")(ARRAYS[0])[0] == detect(ARRAYS[0])[0]


def test_a_setting_of_runs_is_none_of_a_detector() -> None:
    """The message lists those that are."""
    with pytest.raises(ConfigError, match=r"unknown setting 'lake'; allowed: .*device"):
        assay.Detector("mini", lake="lake")  # type: ignore[call-arg]
    with pytest.raises(ConfigError, match=r"unknown setting 'detektor'.*detector"):
        assay.score(ARRAYS, detektor="mini")  # type: ignore[call-arg]


def test_an_id_is_the_hash_of_the_bytes(detect: assay.Detector) -> None:
    """As in the tables of a lake."""
    assert detect.score(RAWS[0])["image_id"][0] == inspect_image(RAWS[0]).image_id
