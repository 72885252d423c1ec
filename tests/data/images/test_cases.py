"""Pictures and archives that failed elsewhere, where the folder of such inputs is at hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from assay.data.errors import UnreadableImage
from assay.data.images.inspect_image import inspect_image
from assay.data.sources.find import SourceOptions, find_items, read_item
from assay.data.vocabulary import Reason
from assay.tasks.copies.near_duplicates import MAX_DISTANCE, group_near_duplicates
from assay.tasks.detector.inputs.preprocess import preprocess
from assay.tasks.detector.load import load_detector

SHARED = Path(__file__).resolve().parents[4] / "shared"
CASES, HOSTILE = SHARED / "cases", SHARED / "hostile"

pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="needs ../shared/cases")


def bytes_of(name: str) -> bytes:
    return (CASES / name).read_bytes()


def bits_apart(left: str, right: str) -> int:
    return (int(left, 16) ^ int(right, 16)).bit_count()


def test_pictures_are_stored_whatever_surrounds_their_pixels():
    """Images with a workflow of over a megabyte, or a video after them, are stored."""
    assert inspect_image(bytes_of("i01-png-itxt-1MB/workflow.png")).ai_declared
    assert inspect_image(bytes_of("i05-jpeg-trailer/motion-9MP.jpg")).width_px == 3000


def test_a_16_bit_picture_scores_and_hashes_like_its_twin():
    """A 16-bit image is within 0.05 in probability and 4 bits of its 8-bit twin."""
    raws = [bytes_of(f"i10-grey16/a-{bits}bit.png") for bits in (16, 8)]
    deep, shallow = (inspect_image(raw).phash for raw in raws)
    assert bits_apart(deep, shallow) <= 4
    detector = load_detector("mini", device="cpu", backend="openvino")
    logits, _ = detector.forward(np.stack([preprocess(raw, detector.profile) for raw in raws]))
    probs = 1 / (1 + np.exp(-np.asarray(logits, dtype=np.float64)))
    assert abs(probs[0] - probs[1]) < 0.05


def test_a_turned_picture_and_its_upright_copy_are_one_group():
    """A photo with an EXIF orientation and its upright copy are near-duplicates."""
    names = ["phone.jpg", "sent-on.jpg"]
    facts = [inspect_image(bytes_of(f"i12-exif-turned/{name}")) for name in names]
    assert bits_apart(facts[0].phash, facts[1].phash) <= MAX_DISTANCE
    images = pl.DataFrame(
        {"image_id": names, "phash": [f.phash for f in facts], "ingested_at": [0, 1]}
    )
    lineage = pl.DataFrame(schema={"image_id": pl.String, "parent_id": pl.String})
    assert group_near_duplicates(images, lineage)["group_id"].n_unique() == 1


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("t01-tar-unsorted/photos.tar", ["fake", "real"]),
        ("t01-tar-unsorted/same.zip", ["fake", "real"]),
        ("t04-upper/s.tar", ["fake", "real"]),
        ("t06-tar-joined/joined.tar", [None, None]),
        ("t11-zip-names/sjis.zip", [None, None]),
    ],
)
def test_archives_give_every_picture_with_its_label(name, labels):
    """Unsorted and concatenated archives, upper-case suffixes and old encodings are read."""
    items = list(find_items([str(CASES / name)], SourceOptions()))
    assert [item.label for item in items] == labels
    assert len({item.source_uri for item in items}) == len(items)
    assert all(inspect_image(read_item(item, SourceOptions())).width_px for item in items)


@pytest.mark.skipif(not HOSTILE.is_dir(), reason="needs ../shared/hostile")
def test_every_hostile_file_ends_with_facts_or_a_fitting_reason():
    """Every hostile file gives facts or a specific reason, and no other exception."""
    fitting = {
        *(Reason.EMPTY, Reason.NOT_AN_IMAGE, Reason.UNSUPPORTED_FORMAT, Reason.UNREADABLE),
        *(Reason.TRUNCATED, Reason.TOO_MANY_PIXELS),
    }
    refusals: dict[str, UnreadableImage] = {}
    paths = sorted(path for path in HOSTILE.rglob("*") if path.is_file())
    for path in paths:
        try:
            assert inspect_image(path.read_bytes()).phash_of == "upright"
        except UnreadableImage as error:
            refusals[path.name] = error
    assert {error.reason for error in refusals.values()} <= fitting
    assert all(error.detail for error in refusals.values())
    assert len(paths) - len(refusals) > 590
