"""A result gives its rows, embeddings, images and maps, and hands them on."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from types import SimpleNamespace

import datasets
import factories
import numpy as np
import polars as pl
import pytest
from lakes import Shot, lake_of
from PIL import Image

import assay
from assay.data.errors import ConfigError, InputError
from assay.flows.results.moderation import Moderation

ARRAYS = [np.asarray(factories.photo(seed=seed, size=(480, 440))) for seed in range(11)]
CELLS = [*ARRAYS, None, ARRAYS[0], b"no image"]
MISSING, COPY, BROKEN = 11, 12, 13


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Moderation:
    """Moderate eleven images, a missing one, a copy and bytes that are no image."""
    lake = tmp_path_factory.mktemp("results") / "lake"
    return assay.moderate(CELLS, lake=lake, detector="mini", quiet=True)


def test_a_frame_has_a_row_for_each_item_in_their_order(result: Moderation) -> None:
    """Row 2 comes before row 10; a rejected item has its reason and no score."""
    rows = result.to_polars()
    assert rows["row"].to_list() == list(range(14))
    assert rows["source_uri"].to_list() == [f"memory:///images!{n}" for n in range(14)]
    assert rows["status"].to_list() == ["stored"] * 11 + ["rejected", "duplicate", "rejected"]
    assert rows["reason"][MISSING] == "bad_row"
    assert rows["image_id"][COPY] == rows["image_id"][0]
    assert rows["logit"].is_null().to_list() == [n in {MISSING, BROKEN} for n in range(14)]
    odds = np.exp(-rows["logit"].drop_nulls().to_numpy())
    assert rows["prob_fake"].drop_nulls().to_numpy() == pytest.approx(1 / (1 + odds), abs=1e-6)


def test_a_run_over_the_whole_lake_has_a_row_for_each_image(result: Moderation) -> None:
    """Items are not asked for again, so they have no status."""
    rows = assay.moderate(lake=result.lake, detector="mini", quiet=True).to_polars()
    assert len(rows) == 11
    assert rows["status"].null_count() == 11
    assert rows["logit"].null_count() == 0


def test_embeddings_are_a_matrix_in_the_order_of_the_rows(result: Moderation) -> None:
    """Equal images have equal rows; an item without a score is a row of NaN."""
    matrix = result.embeddings()
    assert matrix.dtype == np.float32
    assert matrix.shape == (14, 192)
    assert np.isnan(matrix).all(axis=1).tolist() == [n in {MISSING, BROKEN} for n in range(14)]
    assert np.array_equal(matrix[COPY], matrix[0])
    stored = assay.Lake(result.lake).scan("scores").collect()
    ids = result.to_polars()["image_id"]
    for row in (0, 10):
        own = stored.filter(image_id=ids[row])["embedding"][0]
        assert matrix[row].tolist() == own.to_list()


def test_flagged_rows_are_sorted_by_score(result: Moderation) -> None:
    """They keep their row numbers."""
    rows = result.to_polars()
    flagged = result.flagged()
    assert flagged["prob_fake"].is_sorted(descending=True)
    assert set(flagged["row"]) == set(rows.filter(decision="flag")["row"])


def test_pandas_gets_the_same_rows(result: Moderation) -> None:
    """Under the same names."""
    frame = result.to_pandas()
    assert list(frame.columns) == result.to_polars().columns
    assert frame["image_id"].tolist()[:3] == result.to_polars()["image_id"].to_list()[:3]


def test_a_dataset_has_the_images_as_stored(
    result: Moderation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each with its row; rejected items are left out."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path)
    made = result.to_datasets()
    assert len(made) == 12
    assert np.array_equal(np.asarray(made[10]["image"]), ARRAYS[10])
    assert made[11]["image_id"] == made[0]["image_id"]
    raw = made.cast_column("image", datasets.Image(decode=False))[3]
    assert raw["image"]["bytes"] == assay.Lake(result.lake).image(raw["image_id"])
    assert raw["prob_fake"] == result.to_polars()["prob_fake"][3]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (None, set(range(11))),
        ("row < 3 and status = 'stored'", {0, 1, 2}),
        (pl.col("row").is_in([4, 5]), {4, 5}),
        ("prob_fake > 1", set()),
    ],
)
def test_a_gallery_has_the_images_that_a_filter_takes(
    result: Moderation, condition: str | pl.Expr | None, expected: set[int]
) -> None:
    """By SQL or by an expression; each image once, the highest score first."""
    gallery = result.gallery(condition)
    assert set(gallery.to_polars()["row"]) == expected
    assert gallery.to_polars()["prob_fake"].is_sorted(descending=True)
    html = gallery._repr_html_()
    assert html.count("<details") == len(expected)
    assert "<script" not in html


@pytest.mark.parametrize("decision", ["clear", "review", "flag"])
def test_a_gallery_of_a_decision(result: Moderation, decision: str) -> None:
    """Named as in the tables."""
    ids = set(result.to_polars().filter(decision=decision)["image_id"])
    assert set(result.gallery(decision).to_polars()["image_id"]) == ids


def test_a_gallery_shows_no_more_than_a_cell_holds(result: Moderation) -> None:
    """The others are counted."""
    gallery = result.gallery(n=2)
    assert repr(gallery) == "<Gallery all images: 2 of 11 images>"
    assert gallery._repr_html_().count("<details") == 2
    for n in (0, 61):
        with pytest.raises(ConfigError, match=f"n is {n}; allowed: 1 to 60"):
            result.gallery(n=n)


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("flagg", "allowed: clear, review, flag.*did you mean flag"),
        ("image_id in (select 1)", "subqueries"),
        ("prob > 0.5", "prob is not a column"),
    ],
)
def test_a_filter_that_is_none_is_refused(result: Moderation, condition: str, words: str) -> None:
    """With what is allowed."""
    with pytest.raises(ConfigError, match=words):
        result.gallery(condition)


def test_maps_are_those_of_the_score(result: Moderation) -> None:
    """By row, from the end, by id or by address; as a cell, a PNG and values."""
    rows = result.to_polars()
    maps = result.explain(3)
    assert maps.image_id == rows["image_id"][3]
    assert maps.explanation.logit == pytest.approx(rows["logit"][3], abs=1e-3)
    assert Image.open(io.BytesIO(maps.png())).format == "PNG"
    assert maps.to_json()["image_id"] == rows["image_id"][3]
    html = maps._repr_html_()
    assert len(html) < 300_000
    assert html.count("<details") == 1
    same = [result.explain(item).image_id for item in (3 - 14, rows["image_id"][3][:8])]
    assert {*same, result.explain("memory:///images!3").image_id} == {maps.image_id}


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (14, "no row 14; the run has 14 rows"),
        (MISSING, r"row 11 .*has no image: .*bad_row"),
        (-1, "row 13 .*not_an_image"),
        ("ffffffff", "no image"),
    ],
)
def test_an_item_without_an_image_has_no_maps(
    result: Moderation, item: int | str, words: str
) -> None:
    """The message says why."""
    with pytest.raises(InputError, match=words):
        result.explain(item)


def test_similar_images_are_a_gallery_with_their_similarity(result: Moderation) -> None:
    """The cosine is that of the rows of the matrix."""
    rows, matrix = result.to_polars(), result.embeddings()
    found = result.similar(0, k=3, by="embedding").to_polars()
    ids = rows["image_id"].to_list()
    units = matrix[:11] / np.linalg.norm(matrix[:11], axis=1, keepdims=True)
    cosines = units @ units[0]
    best = np.argsort(-cosines, kind="stable")[1:4]
    assert found["image_id"].to_list() == [ids[row] for row in best]
    assert found["similarity"].to_numpy() == pytest.approx(cosines[best], abs=1e-3)
    assert "cosine" in result.similar(0, k=3)._repr_html_()


def test_a_run_is_published_alone(tmp_path: Path) -> None:
    """Of a lake with more images, those of the run, under its scores and its policy."""
    result = assay.moderate(CELLS, lake=tmp_path / "lake", detector="mini", quiet=True)
    more = np.asarray(factories.photo(seed=99, size=(480, 440)))
    assay.moderate([more], lake=result.lake, detector="mini", quiet=True, name="more")
    published = result.publish(tmp_path / "dataset", where="width_px = 480")
    assert sum(published.splits.values()) == 11
    assert published.key is not None
    assert published.key.detector == result.detector


def test_a_cell_of_hard_images_is_small(tmp_path: Path) -> None:
    """Noise compresses worst; as many thumbnails as a cell may have stay below 300 kB."""
    raws = [factories.encoded(factories.noise(seed=n, size=(128, 128)), "PNG") for n in range(60)]
    made = lake_of(tmp_path, [Shot(name=f"{n}", prob=n / 60, raw=raws[n]) for n in range(60)])
    noisy = Moderation(run_id=made.run_id, lake=str(tmp_path))
    for n in (20, 40, 60):
        assert len(noisy.gallery(n=n)._repr_html_()) < 300_000
    assert len(noisy._repr_html_()) < 300_000


def test_the_widget_gets_the_result_and_the_settings(
    result: Moderation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is loaded when it is asked for."""
    stand_in = SimpleNamespace(review=lambda what, **settings: (what, settings))
    monkeypatch.setitem(sys.modules, "assay.flows.notebook.review.open_review", stand_in)
    what, settings = result.review(reviewer="ann")
    assert what is result
    assert settings == {"where": None, "reviewer": "ann", "second_opinion": False}


def test_without_the_packages_of_notebooks_there_is_another_way(
    result: Moderation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message says what to install, and how to review without."""
    monkeypatch.setitem(sys.modules, "assay.flows.notebook.review.open_review", None)
    with pytest.raises(ConfigError, match=r"assay\[notebook\].*assay review serve --lake"):
        result.review()


def test_a_frame_has_embeddings_where_it_is_asked_for_them(result: Moderation) -> None:
    """Null where there is none, so that other programs can leave these rows out."""
    rows = result.to_polars(embeddings=True)
    assert rows["embedding"].dtype == pl.Array(pl.Float32, 192)
    assert rows["embedding"].is_null().to_list() == [n in {MISSING, BROKEN} for n in range(14)]
    kept = rows.drop_nulls("embedding")
    expected = np.delete(result.embeddings(), [MISSING, BROKEN], axis=0)
    assert np.array_equal(kept["embedding"].to_numpy(), expected)


def test_images_are_written_as_files_once(result: Moderation, tmp_path: Path) -> None:
    """Named by their ids, with the bytes of the lake; what is there stays, what is cut is whole."""
    folder = tmp_path / "files"
    rows = result.to_files(folder)
    assert rows["row"].to_list() == list(range(14))
    assert rows["path"].is_null().to_list() == [n in {MISSING, BROKEN} for n in range(14)]
    assert rows["path"][COPY] == rows["path"][0]
    assert len(list(folder.iterdir())) == 11
    first, second = Path(rows["path"][0]), Path(rows["path"][1])
    assert first == folder / f"{rows['image_id'][0]}.png"
    raw = first.read_bytes()
    assert raw == assay.Lake(result.lake).image(rows["image_id"][0])
    first.write_bytes(raw[:10])
    before = second.stat().st_mtime_ns
    result.to_files(folder)
    assert first.read_bytes() == raw
    assert second.stat().st_mtime_ns == before


def test_no_files_are_written_into_a_lake(result: Moderation) -> None:
    """They would be taken for a part of it."""
    with pytest.raises(ConfigError, match="lies in the lake"):
        result.to_files(Path(result.lake) / "files")
