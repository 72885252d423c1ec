"""Drift on the images of a lake, int8 weights made from them, and decisions that allow for it."""

import json
import logging
import shutil

import numpy as np
import polars as pl
import pytest
from factories import encoded, photo
from opened_files import opened_by
from tiny_models import timm_tensors, write_timm

from assay.data.errors import ModelError, UntrustedWeights
from assay.data.store.lake import Lake
from assay.flows.cli import main
from assay.tasks.bench.on_lake import plain
from assay.tasks.bench.sample import halves, sample
from assay.tasks.detector.load import load_detector
from assay.tasks.detector.selection.measurements import read_measured
from assay.tasks.detector.weights.checkpoint import chosen_profile, find_checkpoint
from assay.tasks.detector.weights.int8_store import find_quantised, quantised_folder

N_PICTURES = 48


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Return weights whose logits lie within one unit, so that int8 stays within its limit."""
    tensors = timm_tensors(seed=4)
    tensors["vit.head.weight"] = tensors["vit.head.weight"] / 40
    return str(write_timm(tmp_path_factory.mktemp("m") / "tiny", tensors))


@pytest.fixture(scope="module")
def lake(tmp_path_factory, model):
    """Return a lake of labelled images of several sizes and qualities."""
    here = tmp_path_factory.mktemp("lake")
    for seed in range(N_PICTURES):
        folder = here / "pictures" / ("real" if seed % 2 else "fake")
        folder.mkdir(parents=True, exist_ok=True)
        size = (300, 200) if seed % 4 == 0 else (470, 450)
        raw = encoded(photo(seed=seed, size=size), "JPEG", quality=30 if seed % 4 == 1 else 90)
        (folder / f"{seed}.jpg").write_bytes(raw)
    arguments = ["ingest", str(here / "pictures"), "--lake", str(here / "l"), "--quiet"]
    main([*arguments, "--label-from", "parent-folder"])
    return str(here / "l")


def told(capsys, *arguments: str) -> dict:
    capsys.readouterr()
    main([*arguments, "--json", "--quiet"])
    return json.loads(capsys.readouterr().out)


def test_a_sample_holds_every_kind(lake):
    """A sample is balanced over the kinds of images, is repeatable and has labels."""
    taken = sample(Lake(lake), 12)
    assert taken["slice"].value_counts().sort("slice")["count"].to_list() == [4, 4, 4]
    assert set(taken["label"]) == {0, 1}
    assert taken.equals(sample(Lake(lake), 12))
    left = sample(Lake(lake), N_PICTURES, leave_out=taken["image_id"].to_list())
    assert left.height == N_PICTURES - 12
    assert not set(left["image_id"]) & set(taken["image_id"])


@pytest.mark.parametrize(("n_each", "n"), [(200, 300), (200, 60), (16, 36), (40, 60)])
def test_both_halves_hold_every_kind(n_each, n):
    """The calibration half and the drift half have every kind, whatever their sizes."""
    kinds = ["JPEG quality under 50", "others", "short edge under 440 px"]
    images = pl.DataFrame(
        {"image_id": [f"{i:05d}" for i in range(3 * n_each)], "slice": kinds * n_each}
    )
    chosen, held_out = halves(images, n)
    assert not set(chosen) & set(held_out["image_id"])
    for part in (images.filter(pl.col("image_id").is_in(chosen)), held_out):
        counts = part["slice"].value_counts()["count"].to_list()
        assert len(counts) == 3
        assert max(counts) - min(counts) <= 1
    assert len(chosen) == min(n, 3 * n_each)
    assert 0 < held_out.height <= 200


def test_json_has_no_infinity():
    """Infinity is no valid JSON, and programs other than Python refuse it."""
    assert plain({"a": float("inf"), "b": {"c": float("nan")}, "d": 1.5}) == {
        "a": None,
        "b": {"c": None},
        "d": 1.5,
    }


def test_bench_on_a_lake_is_kept_and_decides_from_then_on(lake, model, capsys):
    """OpenVINO in fp32 agrees with PyTorch on every kind of image."""
    found = told(capsys, "bench", "--detector", model, "--lake", lake, "--drift", "--n", "12")
    by_name = {one["backend"]: one for one in found["backends"]}
    assert by_name["torch-cpu"]["drift"]["max"] == 0
    exact = by_name["openvino-cpu"]
    assert exact["is_within_limit"]
    assert exact["slices"][0]["name"] == "all"
    assert len(exact["slices"]) == 4
    assert exact["slices"][0]["auc"] == pytest.approx(exact["slices"][0]["auc_reference"], abs=1e-6)
    kept = read_measured(find_checkpoint(model).weights_sha256)[("openvino-cpu", "fp32")]
    assert kept.pictures == f"12 images of {Lake(lake).uri}"
    told(capsys, "bench", "--detector", model)
    again = read_measured(find_checkpoint(model).weights_sha256)[("openvino-cpu", "fp32")]
    assert (again.pictures, again.drift) == (kept.pictures, kept.drift)


def test_bench_without_a_lake(model, capsys):
    """A bench without a lake measures rates, and drift on generated images."""
    found = told(capsys, "bench", "--detector", model)
    assert {one["precision"] for one in found["backends"]} == {"fp32"}
    assert all(one["images_per_second"] > 0 for one in found["backends"])


def test_the_gate_exits_with_its_own_code(model, capsys, monkeypatch):
    """A schedule can stop on the exit code of the gate."""
    monkeypatch.setattr("assay.tasks.detector.selection.drift.EXACT_LIMIT_LOGIT", -1.0)
    with pytest.raises(SystemExit) as ended:
        main(["bench", "--detector", model, "--gate"])
    assert ended.value.code == 6
    assert "allowed are -1" in capsys.readouterr().err


def test_int8_from_the_lake_to_decisions(lake, model, capsys, tmp_path):
    """Int8 weights are made, measured on other images, scored and decided with a wider band."""
    pytest.importorskip("nncf")
    handler = logging.NullHandler()
    logging.getLogger("nncf").addHandler(handler)
    checkpoint = find_checkpoint(model)
    profile = chosen_profile(None, checkpoint)
    made = told(capsys, "models", "quantise", "--detector", model, "--lake", lake, "--n", "36")
    precision = find_quantised(checkpoint.weights_sha256, profile, detector="mini").precision
    assert made["precision"] == precision
    assert made["n_images"] == 36
    assert handler.level == logging.NOTSET
    logging.getLogger("nncf").removeHandler(handler)
    drift = made["bench"]["drift"]
    assert drift["n_images"] == N_PICTURES - 36
    assert drift["max"] > 0
    assert made["bench"]["is_within_limit"], drift
    others = told(
        capsys,
        *("bench", "--detector", model, "--lake", lake, "--drift", "--precision", "int8"),
    )
    (on_others,) = others["backends"]
    assert on_others["drift"]["n_images"] == N_PICTURES - 36
    copy = str(tmp_path / "copy")
    shutil.copytree(lake, copy)
    opened = opened_by(
        *("score", "--detector", model, "--lake", copy, "--precision", "int8", "--quiet")
    )
    # What was hashed is what runs: OpenVINO is given the bytes, not the files.
    assert [opened[name] for name in ("model.safetensors", "model.bin", "model.xml")] == [1, 1, 1]
    scores = Lake(copy).scan("scores").collect()
    assert scores["precision"].unique().to_list() == [precision]
    assert scores["backend"].unique().to_list() == ["openvino-cpu"]
    decided = Lake(copy).scan("decisions").collect()
    assert decided["policy_id"].str.contains("-drift-").all()
    told(capsys, "score", "--detector", model, "--lake", copy)
    exact = Lake(copy).scan("scores").filter(pl.col("precision") == "fp32").collect()
    assert exact.height == N_PICTURES
    both = exact.join(scores, on="image_id")
    apart = (both["logit"] - both["logit_right"]).abs().max()
    assert 0 < apart < 1
    told(capsys, "score", "--detector", model, "--lake", copy, "--precision", "int8")
    _flips_with(exact, Lake(copy).path(), model, capsys)
    _spoilt(checkpoint, profile)


def _flips_with(exact, lake, model, capsys):
    """Check that a run in fp32 counts decisions of its own scores beside newer int8 scores."""
    found = told(capsys, "score", "--detector", model, "--lake", lake)
    big = exact.join(Lake(lake).scan("images").collect(), on="image_id").filter(
        pl.min_horizontal("width_px", "height_px") >= 440
    )
    prob = big["prob_fake"]
    assert found["decisions"]["flag"] == (prob >= np.float32(0.65)).sum()
    assert found["decisions"]["clear"] == (prob < np.float32(0.35)).sum()


def _spoilt(checkpoint, profile):
    """Check that changed quantised weights are noticed, and that missing ones have advice."""
    folder = quantised_folder(checkpoint.weights_sha256, profile)
    raw = bytearray((folder / "model.bin").read_bytes())
    raw[7] ^= 1
    (folder / "model.bin").write_bytes(raw)
    with pytest.raises(UntrustedWeights, match="comes from weights"):
        load_detector(checkpoint.name, precision="int8")
    shutil.rmtree(folder)
    with pytest.raises(ModelError, match="assay models quantise"):
        load_detector(checkpoint.name, precision="int8")


def test_too_few_pictures(model, tmp_path, capsys):
    """Three images are too few to measure the ranges of activations."""
    pytest.importorskip("nncf")
    (tmp_path / "p").mkdir()
    for seed in range(3):
        (tmp_path / "p" / f"{seed}.png").write_bytes(encoded(photo(seed=seed), "PNG"))
    lake = str(tmp_path / "l")
    main(["ingest", str(tmp_path / "p"), "--lake", lake, "--quiet"])
    with pytest.raises(SystemExit) as ended:
        main(["models", "quantise", "--detector", model, "--lake", lake])
    assert ended.value.code == 3
    assert "too few" in capsys.readouterr().err
