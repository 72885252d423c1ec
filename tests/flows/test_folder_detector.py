"""A folder with a classifier of a library runs through the commands like a built-in detector."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from factories import encoded, photo
from library_folders import timm_folder
from PIL import Image

from assay.data.store.lake import Lake
from assay.flows.cli import main


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """One of timm's small networks, its hash not pinned."""
    found = timm_folder(tmp_path_factory.mktemp("detectors") / "net", fake_index=1)
    card = found.folder / "detector.toml"
    lines = [one for one in card.read_text().splitlines() if "sha256" not in one]
    card.write_text("\n".join(lines))
    return found


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for seed in range(3):
        raw = encoded(photo(seed=seed, size=(400, 300)), "PNG")
        (folder / f"{seed}.png").write_bytes(raw)
    return folder


def told(capsys, *arguments: str):
    capsys.readouterr()
    main([*arguments, "--json"])
    return json.loads(capsys.readouterr().out)


def test_a_run_scores_embeds_and_reports_with_it(made, pictures, tmp_path, capsys):
    """Rows hold the library's own logits, and the report says that nobody pinned the hash."""
    lake = tmp_path / "lake"
    options = ("--lake", str(lake), "--detector", str(made.folder), "--quiet")
    run = told(capsys, "moderate", str(pictures), *options)
    assert (run["scored"], run["failed"]) == (3, 0)
    assert run["detector"].startswith("timm-test_resnet@")
    seen = Lake(lake).scan("sightings").select("image_id", "source_uri")
    rows = Lake(lake).scan("scores").join(seen, on="image_id").sort("source_uri").collect()
    images = [Image.open(file).convert("RGB") for file in sorted(pictures.iterdir())]
    with torch.inference_mode():
        pixels = torch.stack([made.chain(image) for image in images])
        expected = made.logit(made.network(pixels)).numpy()
        features = made.network.forward_head(made.network.forward_features(pixels), pre_logits=True)
    np.testing.assert_allclose(rows["logit"].to_numpy(), expected, atol=1e-4)
    np.testing.assert_allclose(np.array(rows["embedding"].to_list()), features, atol=1e-4)
    params = json.loads(Lake(lake).scan("runs").collect()["params"][-1])
    assert params["weights_pinned"] is False
    assert "unverified: this hash is not pinned" in Path(run["report"]).read_text()
    again = told(capsys, "score", *options)
    assert (again["scored"], again["already_scored"]) == (0, 3)
    query = tmp_path / "query.jpg"
    query.write_bytes(encoded(photo(seed=1, size=(400, 300)), "JPEG", quality=95))
    near = told(capsys, "similar", str(query), *options, "--by", "embedding")
    first = seen.filter(pl.col("source_uri").str.ends_with("1.png")).collect()["image_id"][0]
    assert near["neighbours"][0]["image_id"] == first


def test_list_verify_card_and_bench_know_it(made, capsys):
    """List takes the folder or the one above it."""
    for folder in (made.folder, made.folder.parent):
        (row,) = (
            one
            for one in told(capsys, "models", "list", str(folder))
            if one["name"] == str(made.folder)
        )
        assert row["here"]
        assert not row["is_pinned"]
        assert row["layout"].startswith("timm test_resnet: input 160 px, two classes")
    facts = told(capsys, "models", "verify", str(made.folder))
    assert facts["origin"].startswith("unverified")
    assert facts["loaded"] == "torch-cpu: embeddings of 96 numbers"
    assert told(capsys, "models", "card", str(made.folder))["output"]["fake_index"] == 1
    found = told(capsys, "bench", "--detector", str(made.folder))
    assert [one["backend"] for one in found["backends"]] == ["torch-cpu"]
    assert found["backends"][0]["drift"]["max"] == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("explain", "{picture}", "--detector", "{folder}"),
        ("models", "convert", "{folder}", "--to", "timm", "--out", "{out}"),
        ("score", "--lake", "{out}", "--detector", "{folder}", "--precision", "int8"),
    ],
)
def test_what_needs_a_vit_says_so(arguments, made, pictures, tmp_path, capsys):
    """Exit code 2, with what it is and what would do."""
    names = {"picture": pictures / "0.png", "folder": made.folder, "out": tmp_path / "out"}
    with pytest.raises(SystemExit) as ended:
        main([one.format(**names) for one in arguments])
    assert ended.value.code == 2
    assert "no ViT of the built-in layouts (timm test_resnet" in capsys.readouterr().err
