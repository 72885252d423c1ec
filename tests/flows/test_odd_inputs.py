"""Any picture that a user can reach gives a row with a score or a reason; memory stays bounded."""

import json
import subprocess
import sys

import numpy as np
import polars as pl
import pytest
import torch
from factories import encoded
from PIL import Image
from tiny_models import timm_tensors, write_timm

from assay.data.errors import UntrustedWeights
from assay.data.store.lake import Lake
from assay.flows.cli import main
from assay.tasks.detector.load import load_detector

SIZES = [(1, 1), (1, 10_000), (10_000, 1), (2, 3), (4000, 16), (384, 384), (440, 440)]


@pytest.mark.parametrize("backend", ["torch", "openvino"])
def test_every_size_gets_a_finite_score(tmp_path, capsys, backend):
    """From one pixel to a ribbon; views too, where there are any."""
    model = str(write_timm(tmp_path / "m", timm_tensors()))
    (tmp_path / "p").mkdir()
    for index, size in enumerate(SIZES):
        colour = (40 * index % 256, 90, 200)
        raw = encoded(Image.new("RGB", size, colour), "PNG")
        (tmp_path / "p" / f"{index}.png").write_bytes(raw)
    arguments = ["moderate", str(tmp_path / "p"), "--lake", str(tmp_path / "l"), "--json"]
    main([*arguments, "--detector", model, "--backend", backend, "--views", "tiles", "--quiet"])
    told = json.loads(capsys.readouterr().out)
    assert (told["scored"], told["failed"]) == (len(SIZES), 0)
    logits = Lake(tmp_path / "l").scan("scores").collect()["logit"]
    assert logits.is_finite().all()
    views = Lake(tmp_path / "l").scan("views").collect()
    assert views["status"].unique().to_list() == ["scored"]


GIANT = """
import resource, sys
from assay.tasks.detector.load import load_detector
from assay.tasks.detector.inputs.preprocess import preprocess
from assay.data.images.inspect_image import ImageLimits
from pathlib import Path
detector = load_detector(sys.argv[2], device="cpu", backend="openvino")
raw = Path(sys.argv[1]).read_bytes()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
pixels = preprocess(raw, detector.profile, ImageLimits(max_pixels=170_000_000))
logits, _ = detector.forward(pixels[None])
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(float(logits[0]), (after - before) / 1024)
"""


def test_a_giant_costs_its_pixels_and_little_more(tmp_path):
    """13,000 x 13,000 px: its own 507 MB (Pillow takes 4 bytes a pixel: 676) and no copy of it."""
    model = str(write_timm(tmp_path / "m", timm_tensors()))
    load_detector(model, device="cpu", backend="openvino")
    file = tmp_path / "giant.png"
    Image.new("L", (13_000, 13_000), 77).convert("RGB").save(file, compress_level=1)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", GIANT, str(file), model],
        capture_output=True,
        text=True,
        check=True,
    )
    logit, grown_mb = map(float, done.stdout.split())
    assert np.isfinite(logit)
    assert grown_mb < 2 * 676 + 200


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("backend", ["torch", "openvino"])
def test_weights_that_are_no_numbers_are_refused_on_every_backend(tmp_path, value, backend):
    """Before a single picture is scored."""
    tensors = timm_tensors()
    tensors["vit.blocks.1.mlp.fc1.weight"][3, 5] = value
    model = str(write_timm(tmp_path / "m", tensors))
    with pytest.raises(UntrustedWeights, match="NaN or infinite"):
        load_detector(model, device="cpu", backend=backend)


@pytest.mark.parametrize("backend", ["torch", "openvino"])
def test_batches_of_any_size(tmp_path, backend):
    """None, one, or more than fit into one pass: each picture scores as it does alone."""
    detector = load_detector(
        str(write_timm(tmp_path, timm_tensors())), device="cpu", backend=backend
    )
    pixels = np.random.default_rng(0).standard_normal((7, 3, 64, 64), dtype=np.float32)
    assert detector.forward(pixels[:0])[0].shape == (0,)
    together = detector.forward(pixels)[0]
    alone = [float(detector.forward(one[None])[0][0]) for one in pixels]
    np.testing.assert_allclose(together, alone, atol=1e-3)
    with pytest.raises(ValueError, match=r"\(3, 32, 64\); expected \(3, 64, 64\)"):
        detector.forward(pixels[:, :, :32])


def test_pixels_that_are_no_numbers_are_never_a_score(tmp_path):
    """Of a broken caller: the logit is not finite, which every step above refuses."""
    for backend in ("torch", "openvino"):
        detector = load_detector(
            str(write_timm(tmp_path, timm_tensors())), device="cpu", backend=backend
        )
        pixels = np.full((1, 3, 64, 64), np.nan, np.float32)
        assert not np.isfinite(detector.forward(pixels)[0]).any()


def test_an_empty_lake_and_nothing_left_to_do(tmp_path, capsys):
    """No rows, no error."""
    model = str(write_timm(tmp_path / "m", timm_tensors()))
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "a.txt").write_text("no picture")
    for _ in range(2):
        arguments = ["moderate", str(tmp_path / "p"), "--lake", str(tmp_path / "l"), "--json"]
        main([*arguments, "--detector", model, "--views", "adaptive", "--quiet"])
        told = json.loads(capsys.readouterr().out)
        assert (told["items"], told["rejected"], told["scored"], told["views"]) == (1, 1, 0, 0)
    assert Lake(tmp_path / "l").scan("scores").select(pl.len()).collect().item() == 0
    assert torch.get_num_threads() >= 1
