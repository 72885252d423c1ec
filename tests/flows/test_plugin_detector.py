"""A detector of an installed package runs like a built-in one, from its name to the dataset."""

import json
import re
import tomllib
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from factories import encoded, photo
from PIL import Image

from assay.data.errors import ConfigError, InputError
from assay.data.store.lake import Lake
from assay.flows.cli import main
from assay.tasks.detector.weights import python_detector
from assay.tasks.detector.weights.checkpoint import find_checkpoint
from assay.tasks.detector.weights.detector_card import Card, FolderCard, Square, read_card
from assay.tasks.embeddings.rows import latest_embedded

HOWTO = Path(__file__).resolve().parents[2] / "docs" / "howto" / "add-a-detector.md"
EXAMPLE = Path(__file__).resolve().parents[1] / "plugin" / "assay_plugin_example" / "detector.py"


def told(capsys, *arguments: str) -> dict:
    capsys.readouterr()
    main([*arguments, "--json"])
    return json.loads(capsys.readouterr().out)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Three photos as they are, and one without detail."""
    folder = tmp_path_factory.mktemp("pictures")
    for seed in range(3):
        raw = encoded(photo(seed=seed, size=(480, 460)), "JPEG", quality=95)
        (folder / f"{seed}.jpg").write_bytes(raw)
    smooth = photo(seed=9, size=(6, 6)).resize((480, 460), Image.Resampling.BICUBIC)
    (folder / "smooth.png").write_bytes(encoded(smooth, "PNG"))
    return folder


def test_from_a_name_to_a_published_dataset(plugin, pictures, tmp_path, capsys):
    """Scores and embeddings are the object's own, and its identity is unverified everywhere."""
    from assay_plugin_example.detector import HighFrequency

    lake = tmp_path / "lake"
    options = ("--lake", str(lake), "--detector", "high-frequency", "--quiet")
    run = told(capsys, "moderate", str(pictures), *options)
    assert (run["scored"], run["failed"], run["detector"]) == (4, 0, "high-frequency@1")
    rows = Lake(lake).scan("scores").collect()
    scorer = HighFrequency()
    smooth = Lake(lake).scan("sightings").filter(pl.col("source_uri").str.ends_with("smooth.png"))
    image_id = smooth.collect()["image_id"][0]
    square = np.asarray(
        Image.open(pictures / "smooth.png").resize((133, 128), Image.Resampling.BILINEAR)
    )[None, :, 2:130]
    row = rows.row(by_predicate=pl.col("image_id") == image_id, named=True)
    assert row["logit"] == pytest.approx(float(scorer.score(square)[0]), abs=1e-4)
    np.testing.assert_allclose(row["embedding"], scorer.embed(square)[0], atol=1e-4)
    assert row["logit"] == rows["logit"].max()
    assert row["backend"] == "python"
    assert re.fullmatch(r"unverified:[0-9a-f]{64}", row["weights_sha256"])
    params = json.loads(Lake(lake).scan("runs").collect()["params"][-1])
    assert params["weights_sha256"] == row["weights_sha256"]
    assert params["weights_pinned"] is False
    assert row["weights_sha256"] in Path(run["report"]).read_text()
    again = told(capsys, "score", *options)
    assert (again["scored"], again["already_scored"]) == (0, 4)
    told(capsys, "publish", "--lake", str(lake), "--to", str(tmp_path / "out"))
    published = pl.concat(
        [pl.read_parquet(f) for f in (tmp_path / "out").rglob("*.parquet")], how="vertical_relaxed"
    )
    assert set(published["weights_sha256"]) == {row["weights_sha256"]}
    assert set(published["detector"]) == {"high-frequency@1"}


def test_an_object_of_a_notebook_runs_by_its_name(pictures, tmp_path, monkeypatch):
    """Offered first; the run then knows it like any other name."""
    import assay

    monkeypatch.setattr(python_detector, "_offered", {})

    class Darkness:
        card = Card(name="darkness", version="2", licence="MIT", input=Square(size_px=16))

        def score(self, rgb_u8_nhwc):
            return 0.5 - rgb_u8_nhwc.mean(axis=(1, 2, 3)) / 255

    name = assay.offer_detector(Darkness())
    run = assay.moderate(pictures, lake=tmp_path / "lake", detector=name, quiet=True)
    assert (run.scored, run.detector) == (4, "darkness@2")
    scores = Lake(tmp_path / "lake").scan("scores").collect()
    assert scores["embedding"].null_count() == 4
    with pytest.raises(InputError, match="has an embedding yet"):
        latest_embedded(Lake(tmp_path / "lake"))


def test_models_list_and_verify_know_it(plugin, capsys):
    """With the package that adds it."""
    rows = {row["name"]: row for row in told(capsys, "models", "list")}
    assert rows["high-frequency"]["added_by"] == "assay-plugin-example 1.0"
    assert not rows["high-frequency"]["is_pinned"]
    assert rows["mini"]["is_pinned"]
    facts = told(capsys, "models", "verify", "high-frequency")
    assert facts["origin"].startswith("unverified: code without weights")
    card = told(capsys, "models", "card", "high-frequency")
    assert card["limits"].startswith("Measures sharpness only")


def test_a_wrong_name_is_told_the_right_ones(plugin):
    """Those of packages among them."""
    with pytest.raises(ConfigError, match="high-frequency"):
        find_checkpoint("high-freqency")


def test_the_page_shows_the_code_that_is_tested():
    """Every line of the example package's detector stands in the page as it is."""
    assert EXAMPLE.read_text() in HOWTO.read_text()


def test_the_card_and_the_entry_of_the_page_are_good():
    """The card is read as it stands, and the entry point is the example package's."""
    card, entry = re.findall(r"```toml\n(.*?)```", HOWTO.read_text(), flags=re.DOTALL)
    assert read_card(FolderCard, tomllib.loads(card), "the page").output.fake_index == 1
    assert entry in (EXAMPLE.parents[1] / "pyproject.toml").read_text()
