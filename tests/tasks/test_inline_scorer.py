"""Scores from the pass of ingest equal those of two passes."""

import hashlib
from pathlib import Path

import factories
import ingesting
import numpy as np
import polars as pl
import pytest
from PIL import Image
from tiny_models import timm_tensors, write_timm

from assay.data.sources.find import SourceOptions, find_items
from assay.data.store.lake import Lake
from assay.data.vocabulary import Reason
from assay.flows.request import Request
from assay.flows.run import run
from assay.tasks import ingest, inline_scorer
from assay.tasks.detector.load import load_detector
from assay.tasks.ingest import ingest_chunk
from assay.tasks.ingest_counts import IngestCounts
from assay.tasks.inline_scorer import InlineScorer
from assay.tasks.score import ScoreCounts, pending

PICTURES = {
    "photo.jpg": factories.jpeg(seed=1, size=(301, 203)),
    "turned.jpg": factories.with_exif(seed=2, orientation=6),
    "cmyk.jpg": factories.cmyk_jpeg(),
    "noise.png": factories.png(seed=3),
    "palette.png": factories.palette_png(transparent=True),
    "alpha.png": factories.rgba_png(alpha=40),
    "deep.png": factories.grey16_png([0, 255, 300, 65535], size=(2, 2)),
    "moving.gif": factories.gif(seed=4, n_frames=3),
    "small.webp": factories.webp(seed=5),
    "small.avif": factories.avif(seed=6),
    "small.bmp": factories.bmp(seed=7),
    "long.png": factories.encoded(factories.noise(size=(3, 900)), "PNG"),
}


@pytest.fixture
def model(tmp_path):
    return str(write_timm(tmp_path / "tiny", timm_tensors()))


@pytest.fixture
def detector(model):
    """Load the reference backend, which is independent of earlier calls."""
    return load_detector(model, device="cpu", backend="torch")


@pytest.fixture
def pictures(tmp_path):
    return ingesting.put(tmp_path / "pictures", PICTURES)


def bring(
    lake: Lake,
    folder: Path,
    detector,
    *,
    batch_id: str = "b-1",
    n_workers: int = 2,
    load=None,
    on_item=None,
):
    """Ingest and score all items of a folder in one chunk and one pass."""
    options = SourceOptions()
    load = load or (lambda: detector)
    scorer = InlineScorer(lake, load, detector.key, run_id="r")
    items = ingest_chunk(
        lake,
        list(find_items([str(folder)], options)),
        batch_id=batch_id,
        run_id="r",
        chunk_index=0,
        options=options,
        n_workers=n_workers,
        on_item=on_item,
        scorer=scorer,
    )
    return items, scorer.counts


def passes_of(detector, monkeypatch) -> list[int]:
    """Collect the number of images of each pass through the network."""
    passes: list[int] = []
    forward = detector.forward

    def counted(pixels):
        passes.append(len(pixels))
        return forward(pixels)

    monkeypatch.setattr(detector, "forward", counted)
    return passes


@pytest.mark.parametrize("profile", ["authors-imagenet", "hf-clip"])
def test_one_pass_scores_as_two_do(tmp_path, pictures, model, profile):
    """Every format and mode gets the logit and embedding of an `ingest` followed by a `score`."""
    judging = {"detector": model, "profile": profile, "backend": "torch"}
    one = run(Request(lake=str(tmp_path / "one"), sources=(str(pictures),), **judging))
    run(Request(lake=str(tmp_path / "two"), sources=(str(pictures),)), flow="ingest")
    two = run(Request(lake=str(tmp_path / "two"), **judging), flow="score")
    assert (one.scored, one.failed, one.already_scored) == (len(PICTURES), 0, 0)
    assert (two.scored, two.failed) == (len(PICTURES), 0)
    rows = [
        Lake(tmp_path / name).scan("scores").sort("image_id").collect() for name in ("one", "two")
    ]
    assert rows[0]["image_id"].to_list() == rows[1]["image_id"].to_list()
    assert np.abs(rows[0]["logit"] - rows[1]["logit"]).max() < 1e-6
    embeddings = [np.array(table["embedding"].to_list()) for table in rows]
    np.testing.assert_allclose(*embeddings, atol=1e-6)
    same = ["detector", "weights_sha256", "profile", "backend", "precision", "status", "reason"]
    assert rows[0].select(same).equals(rows[1].select(same))


def test_a_picture_is_opened_once(tmp_path, pictures, detector, monkeypatch):
    """Ingest and score share one decode of each image."""
    opened: list[str] = []
    real = Image.open

    def counted(file, **more):
        opened.append(hashlib.sha256(file.getvalue()).hexdigest())
        return real(file, **more)

    monkeypatch.setattr(Image, "open", counted)
    bring(Lake(tmp_path / "lake"), pictures, detector)
    assert sorted(opened) == sorted(ingesting.sha256(raw) for raw in PICTURES.values())


def test_a_picture_that_has_a_score_is_not_put_through_the_network(
    tmp_path, pictures, detector, monkeypatch
):
    """A duplicate in another batch costs no pass."""
    lake = Lake(tmp_path / "lake")
    assert bring(lake, pictures, detector)[1] == ScoreCounts(scored=len(PICTURES))
    other = ingesting.put(tmp_path / "other", {f"again-{n}": raw for n, raw in PICTURES.items()})
    ingesting.put(other, {"new.jpg": factories.jpeg(seed=50)})
    passes = passes_of(detector, monkeypatch)
    items, scores = bring(lake, other, detector, batch_id="b-2")
    assert (items.stored, items.duplicates) == (1, len(PICTURES))
    assert (scores, sum(passes)) == (ScoreCounts(scored=1), 1)


def test_twins_of_one_chunk_are_scored_once(tmp_path, detector, monkeypatch):
    """Eight files of the same bytes, read by four threads, need one pass and one row."""
    raw = factories.jpeg(seed=9)
    folder = ingesting.put(tmp_path / "twins", {f"{i}.jpg": raw for i in range(8)})
    passes = passes_of(detector, monkeypatch)
    lake = Lake(tmp_path / "lake")
    items, scores = bring(lake, folder, detector, n_workers=4)
    assert (items.stored, items.duplicates, scores) == (1, 7, ScoreCounts(scored=1))
    assert passes == [1]
    assert lake.scan("scores").collect()["image_id"].to_list() == [ingesting.sha256(raw)]


def test_a_detector_is_loaded_only_when_there_is_something_to_read(tmp_path, pictures, detector):
    """The second run over the same files does not load the detector."""
    lake = Lake(tmp_path / "lake")
    bring(lake, pictures, detector)

    def load():
        raise AssertionError("nothing is new")

    items, scores = bring(lake, pictures, detector, load=load)
    assert items.unchanged == len(PICTURES)
    assert scores == ScoreCounts()


def test_what_memory_does_not_suffice_for_stays_pending(tmp_path, pictures, detector, monkeypatch):
    """The image is stored without a row and scored by the pass over stored images."""
    real = inline_scorer.preprocess_decoded

    def starved(image, profile):
        if image.size == (301, 203):
            raise MemoryError
        return real(image, profile)

    monkeypatch.setattr(inline_scorer, "preprocess_decoded", starved)
    lake = Lake(tmp_path / "lake")
    items, scores = bring(lake, pictures, detector)
    assert (items.stored, scores) == (len(PICTURES), ScoreCounts(scored=len(PICTURES) - 1))
    left = pending(lake, detector.key)["image_id"].to_list()
    assert left == [ingesting.sha256(PICTURES["photo.jpg"])]


def test_a_picture_that_breaks_after_it_was_stored_is_a_failed_row(
    tmp_path, pictures, detector, monkeypatch
):
    """A failure before the network does not remove the image from the lake."""

    def broken(_image, _profile):
        raise OSError("broken data stream")

    monkeypatch.setattr(inline_scorer, "preprocess_decoded", broken)
    lake = Lake(tmp_path / "lake")
    items, scores = bring(lake, pictures, detector)
    assert (items.stored, scores) == (len(PICTURES), ScoreCounts(failed=len(PICTURES)))
    rows = lake.scan("scores").select("status", "reason").unique().collect()
    assert rows.rows() == [("failed", Reason.UNREADABLE.value)]


def test_bad_pictures_pass_by_the_network(tmp_path, pictures, detector, monkeypatch):
    """A truncated file and a text are rejected; their neighbours are scored."""
    ingesting.put(pictures, {"cut.jpg": factories.jpeg(seed=1)[:400], "text.jpg": b"no picture"})
    passes = passes_of(detector, monkeypatch)
    items, scores = bring(Lake(tmp_path / "lake"), pictures, detector)
    assert (items.stored, items.rejected) == (len(PICTURES), 2)
    assert scores.scored == sum(passes) == len(PICTURES)


def test_scores_are_committed_as_time_goes_by(tmp_path, detector, monkeypatch):
    """A long chunk that is stopped keeps finished images and their scores."""
    monkeypatch.setattr(ingest, "FLUSH_EVERY_S", 0.0)
    raws = {f"{i:02d}.png": factories.png(seed=i) for i in range(10)}
    folder = ingesting.put(tmp_path / "many", raws)
    lake = Lake(tmp_path / "lake")
    seen = 0

    def stop(n: int) -> None:
        nonlocal seen
        seen += n
        if seen == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bring(lake, folder, detector, n_workers=1, on_item=stop)
    kept = lake.scan("images").collect()["image_id"].sort()
    assert kept.to_list() == sorted(map(ingesting.sha256, list(raws.values())[:6]))
    assert lake.version("images") == 6
    assert lake.scan("scores").collect()["image_id"].sort().equals(kept)
    assert bring(lake, folder, detector)[0] == IngestCounts(
        items=10,
        stored=10,
        unchanged=6,
        n_bytes=sum(map(len, list(raws.values())[6:])),
    )
    assert lake.scan("scores").select(pl.len(), pl.col("image_id").n_unique()).collect().row(0) == (
        10,
        10,
    )
