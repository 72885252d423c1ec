"""Patch embeddings are the network's own, in a file that is whole or not there."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from factories import encoded, noise
from tiny_models import TINY, hf_config, timm_tensors, write_hf

from assay.data.store.lake import Lake
from assay.flows.cli import main
from assay.tasks.detector.inputs.preprocess import preprocess
from assay.tasks.detector.weights.checkpoint import chosen_profile, find_checkpoint
from assay.tasks.explain import patches
from assay.tasks.explain.patches import read_patches, write_patches


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    tensors = timm_tensors(seed=1)
    return str(write_hf(tmp_path_factory.mktemp("m") / "tiny", tensors, hf_config(TINY)))


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    here = tmp_path_factory.mktemp("lake")
    (here / "p").mkdir()
    for seed in range(5):
        (here / "p" / f"{seed}.png").write_bytes(encoded(noise(seed=seed, size=(80, 70)), "PNG"))
    main(["ingest", str(here / "p"), "--lake", str(here / "l"), "--quiet"])
    return str(here / "l")


def test_they_are_what_transformers_has_after_its_last_norm(lake, model, tmp_path, capsys):
    """In float32 within 1e-4, patch by patch; in float16 within its precision."""
    from transformers import ViTModel

    file = str(tmp_path / "f32.parquet")
    asked = ["patches", "--lake", lake, "--detector", model, "--to", file]
    main([*asked, "--dtype", "float32", "--json", "--quiet"])
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (told["images"], told["failed"], told["shape"]) == (5, 0, [4, 4, 192])
    checkpoint = find_checkpoint(model)
    profile = chosen_profile(None, checkpoint)
    theirs = ViTModel.from_pretrained(model, add_pooling_layer=False, use_safetensors=True).eval()
    ids, found = read_patches(tmp_path / "f32.parquet")
    for image_id, mine in zip(ids, found, strict=True):
        pixels = preprocess(Lake(lake).image(image_id), profile)
        with torch.inference_mode():
            tokens = theirs(torch.from_numpy(pixels[None])).last_hidden_state[0, 1:]
        np.testing.assert_allclose(mine, tokens.numpy().reshape(4, 4, 192), atol=1e-4)
    write_patches(Lake(lake), checkpoint, profile, tmp_path / "f16.parquet", limit=3)
    some, halves = read_patches(tmp_path / "f16.parquet")
    assert some == ids[:3]
    assert halves.dtype == np.float16
    np.testing.assert_allclose(halves, found[:3], rtol=1e-3, atol=1e-3)


def test_the_file_says_what_made_it(lake, model, tmp_path):
    """Detector, weights, profile and shape, and no row group beyond a bound."""
    checkpoint = find_checkpoint(model)
    profile = chosen_profile(None, checkpoint)
    write_patches(Lake(lake), checkpoint, profile, tmp_path / "p.parquet")
    metadata = pq.read_schema(tmp_path / "p.parquet").metadata
    assert metadata[b"weights_sha256"].decode() == checkpoint.weights_sha256
    assert metadata[b"profile"].decode() == profile.describe()


def test_a_stop_half_way_leaves_no_file(lake, model, tmp_path, monkeypatch):
    """An interrupt leaves no file under any name."""
    checkpoint = find_checkpoint(model)
    monkeypatch.setattr(patches, "IMAGES_A_ROW_GROUP", 2)

    def stop(_n: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_patches(
            Lake(lake),
            checkpoint,
            chosen_profile(None, checkpoint),
            tmp_path / "p.parquet",
            on_item=stop,
        )
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(lake, model, tmp_path, capsys):
    """An existing file is left unchanged."""
    file = tmp_path / "p.parquet"
    Path(file).write_text("mine")
    with pytest.raises(SystemExit) as ended:
        main(["patches", "--lake", lake, "--detector", model, "--to", str(file)])
    assert ended.value.code == 3
    assert "name a new file" in capsys.readouterr().err
    assert file.read_text() == "mine"
