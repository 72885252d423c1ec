"""Tiles cover what the centre square leaves out; their scores are stored, drawn and used."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from factories import encoded, noise, photo
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tiny_models import timm_tensors, write_timm

from assay.data.store.lake import Lake
from assay.flows.cli import main
from assay.tasks.decide.decide import decide
from assay.tasks.decide.policy_file import load_policy
from assay.tasks.detector.inputs.preprocess import normalise, preprocess
from assay.tasks.detector.inputs.tiles import MAX_TILES, cut, tiles_of
from assay.tasks.detector.load import load_detector
from assay.tasks.views import views_of

lengths = st.integers(64, 6000)


@given(lengths, lengths)
def test_tiles_cover_every_pixel_and_are_few(width, height):
    """Each tile lies inside the image, and neighbours overlap, except in very long images."""
    tiles = tiles_of((width, height), 64)
    assert 1 <= len(tiles) <= MAX_TILES
    for tile in tiles:
        assert 0 <= tile.left_px <= width - tile.side_px
        assert 0 <= tile.top_px <= height - tile.side_px
        assert tile.side_px >= 64
    if max(width, height) <= 12 * min(width, height):
        for length, starts in (
            (width, sorted({tile.left_px for tile in tiles})),
            (height, sorted({tile.top_px for tile in tiles})),
        ):
            side = tiles[0].side_px
            assert (starts[0], starts[-1] + side) == (0, length)
            gaps = np.diff(starts)
            assert (gaps <= 0.75 * side + 1).all()


def test_tiles_by_eye():
    """An image of two squares side by side has three tiles, the middle one over the seam."""
    assert [(t.left_px, t.top_px, t.side_px) for t in tiles_of((128, 64), 64)] == [
        (0, 0, 64),
        (32, 0, 64),
        (64, 0, 64),
    ]
    assert [t.name for t in tiles_of((64, 64), 64)] == ["tile 1/1"]
    assert tiles_of((63, 500), 64) == []


@pytest.mark.parametrize("size", [(100_000, 64), (64, 100_000), (20_000, 20_000)])
def test_ribbons_and_giants_cost_no_more_than_others(size):
    """Every image has at most sixteen tiles."""
    assert len(tiles_of(size, 64)) <= MAX_TILES


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(write_timm(tmp_path_factory.mktemp("m") / "tiny", timm_tensors(seed=1)))


def test_a_tile_is_scored_at_the_pictures_own_resolution(model):
    """The logit is that of the tile's own pixels, neither enlarged nor reduced."""
    detector = load_detector(model, device="cpu")
    picture = noise(seed=4, size=(150, 90))
    for view in views_of(encoded(picture, "PNG"), detector):
        left, top = view.tile.left_px, view.tile.top_px
        mine = np.asarray(picture)[top : top + 64, left : left + 64]
        expected = detector.forward(normalise(mine, detector.profile)[None])[0][0]
        assert view.logit == pytest.approx(float(expected), abs=1e-4)


def test_a_reduced_tile_has_the_size_of_the_input(model):
    """An image that would need too many tiles is cut into reduced ones."""
    detector = load_detector(model, device="cpu")
    picture = photo(seed=1, size=(900, 700))
    tiles = tiles_of(picture.size, 64)
    assert tiles[0].side_px > 64
    assert cut(picture, tiles[-1], detector.profile).shape == (3, 64, 64)


def lake_with(tmp_path: Path, *sizes: tuple[int, int]) -> str:
    (tmp_path / "p").mkdir()
    for seed, size in enumerate(sizes):
        (tmp_path / "p" / f"{seed}.png").write_bytes(encoded(noise(seed=seed, size=size), "PNG"))
    return str(tmp_path / "l")


def logits_of(model: Path, pictures: list[Image.Image]) -> np.ndarray:
    detector = load_detector(str(model), device="cpu")
    pixels = [preprocess(encoded(one, "PNG"), detector.profile) for one in pictures]
    return detector.forward(np.stack(pixels))[0]


def moderated(capsys, lake: str, folder: Path, model: str, *more: str) -> dict:
    capsys.readouterr()
    main(["moderate", str(folder), "--lake", lake, "--detector", model, "--json", "--quiet", *more])
    return json.loads(capsys.readouterr().out)


def test_views_in_a_run_are_off_then_on_then_known(tmp_path, model, capsys):
    """A run writes no views by default, one row per tile if asked, and none the second time."""
    lake = lake_with(tmp_path, (150, 90), (64, 64), (70, 40))
    assert moderated(capsys, lake, tmp_path / "p", model)["views"] == 0
    assert moderated(capsys, lake, tmp_path / "p", model, "--views", "tiles")["views"] == 7
    assert moderated(capsys, lake, tmp_path / "p", model, "--views", "tiles")["views"] == 0
    rows = Lake(lake).scan("views").collect()
    assert rows["status"].unique().to_list() == ["scored"]
    # 150 x 90: three by two; 64 x 64: one; 70 x 40 has no tile.
    assert sorted(rows.group_by("image_id").len()["len"]) == [1, 6]


def test_adaptive_looks_at_the_uncertain_alone(tmp_path, capsys):
    """Only images with a score from 0.15 to 0.85 are tiled."""
    # A network whose scores lie on both sides of those bounds.
    tensors = timm_tensors(seed=1)
    pixels = [noise(seed=seed, size=(80 + seed, 70)) for seed in range(8)]
    logits = logits_of(write_timm(tmp_path / "wide", tensors), pixels)
    gain = float(6 / np.ptp(logits))
    shifted = tensors["vit.head.bias"] - float(np.median(logits))
    tensors |= {
        "vit.head.bias": gain * shifted,
        "vit.head.weight": gain * tensors["vit.head.weight"],
    }
    model = str(write_timm(tmp_path / "m", tensors))
    lake = lake_with(tmp_path, *[(80 + seed, 70) for seed in range(8)])
    moderated(capsys, lake, tmp_path / "p", model, "--views", "adaptive")
    scores = Lake(lake).scan("scores").collect()
    uncertain = scores.filter(pl.col("prob_fake").is_between(0.15, 0.85, closed="left"))
    looked_at = Lake(lake).scan("views").collect()["image_id"]
    assert set(looked_at) == set(uncertain["image_id"])
    assert 0 < uncertain.height < 8


def test_an_unknown_way_of_looking(tmp_path, model, capsys):
    """An unknown mode is refused before anything is read."""
    with pytest.raises(SystemExit) as ended:
        main(["moderate", str(tmp_path), "--detector", model, "--views", "all"])
    assert ended.value.code == 2
    assert '"centre", "tiles", "adaptive"' in capsys.readouterr().err


def test_a_high_view_raises_a_clear_picture_and_does_nothing_else():
    """A view never flags an image and never clears one that another rule holds."""
    band = load_policy().default
    low, high = band.review_at / 2, min(1.0, band.flag_at + 0.01)
    rows = pl.DataFrame(
        {
            "image_id": ["a", "b", "c", "d"],
            "detector": "x@1",
            "status": "scored",
            "prob_fake": [low, low, high, low],
            "width_px": [900, 900, 900, 10],
            "height_px": 900,
            "domain": None,
            "ai_declared": None,
            "view_prob": [high, low, low, high],
        }
    )
    found = decide(rows, load_policy())
    assert found["decision"].to_list() == ["review", "clear", "flag", "review"]
    reason = "view_at_or_above_flag_threshold"
    assert [reason in reasons for reasons in found["reasons"]] == [True, False, False, False]
    plain = decide(rows.drop("view_prob"), load_policy())
    assert plain["decision"].to_list() == ["clear", "clear", "flag", "review"]
    assert plain.columns == [*rows.columns[:-1], "decision", "reasons"]


def test_the_command_draws_the_tiles_of_a_file(tmp_path, model, capsys, monkeypatch):
    """The tiles are drawn beside the centre, without a lake."""
    monkeypatch.chdir(tmp_path)
    Path("a.png").write_bytes(encoded(photo(seed=3, size=(200, 100)), "PNG"))
    main(["views", "a.png", "--detector", model, "-o", "v.png", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert len(told["tiles"]) == len(tiles_of((200, 100), 64))
    assert Image.open("v.png").size == (560, 156)
    Path("b.png").write_bytes(encoded(photo(seed=3, size=(200, 30)), "PNG"))
    with pytest.raises(SystemExit) as ended:
        main(["views", "b.png", "--detector", model])
    assert ended.value.code == 3
    assert "tiles need sides of" in capsys.readouterr().err
