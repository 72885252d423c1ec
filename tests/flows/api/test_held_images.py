"""Runs of images in memory: stored once, not read again, one row per image in their order."""

import datasets
import factories
import numpy as np
import polars as pl
import pytest
from PIL import Image

import assay
from assay.data.errors import ConfigError
from assay.tasks.runs.run_record import find_run

ARRAYS = [np.asarray(factories.photo(seed=seed, size=(480, 440))) for seed in range(3)]


def moderated(lake, *things, **settings):
    return assay.moderate(*things, lake=lake, detector="mini", quiet=True, **settings)


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    """Return a lake in which three arrays were moderated once."""
    folder = tmp_path_factory.mktemp("held") / "lake"
    first = moderated(folder, ARRAYS)
    assert (first.items, first.stored, first.scored) == (3, 3, 3)
    return folder


def test_the_same_images_cost_nothing_again(lake):
    """The batch is known by the content of the list, and every row is unchanged."""
    again = moderated(lake, [array.copy() for array in ARRAYS])
    assert (again.items, again.unchanged, again.stored, again.scored) == (3, 3, 3, 0)


def test_a_longer_list_reads_the_new_images_only(lake):
    """Rows that were seen keep their images."""
    more = np.asarray(factories.photo(seed=9, size=(480, 440)))
    longer = moderated(lake, [*ARRAYS, more])
    assert (longer.items, longer.scored, longer.already_scored) == (4, 1, 3)


def test_the_same_pixels_are_the_same_image_in_any_hands(lake):
    """Array, Pillow image, a frame of images, and their encoded bytes in a dataset."""
    images = [Image.fromarray(array) for array in ARRAYS]
    stored = [
        assay.Lake(lake).image(image_id) for image_id in ids_of(lake, moderated(lake, ARRAYS))
    ]
    frame = pl.DataFrame({"picture": pl.Series(images, dtype=pl.Object)})
    dataset = datasets.Dataset.from_dict(
        {"image": [{"bytes": raw, "path": None} for raw in stored]}
    )
    for held in (images, frame, dataset.cast_column("image", datasets.Image())):
        result = moderated(lake, held)
        assert (result.items, result.duplicates, result.scored) == (3, 3, 0)
        assert ids_of(lake, result) == ids_of(lake, moderated(lake, ARRAYS))


def ids_of(lake, result):
    rows = assay.Lake(lake).scan("sightings").filter(batch_id=result.batch_id).collect()
    return rows.sort("source_uri")["image_id"].to_list()


def test_a_row_that_cannot_be_used_is_a_row_with_a_reason(lake):
    """A missing value, a mode without a lossless file, and bytes that are no image."""
    result = moderated(lake, [ARRAYS[0], None, Image.new("CMYK", (8, 8)), b"text", "no.jpg"])
    assert (result.items, result.rejected) == (5, 4)
    assert result.rejected_by_reason == {
        "bad_row": 1, "not_an_image": 1, "not_found": 1, "unsupported_format": 1,
    }  # fmt: skip


def test_labels_and_domains_of_a_frame_are_kept(lake):
    """As those of a table on disk."""
    frame = pl.DataFrame({"image": [factories.jpeg(seed=7)], "label": ["fake"], "domain": ["art"]})
    result = moderated(lake, frame, name="labelled")
    rows = assay.Lake(lake).scan("sightings").filter(batch_id=result.batch_id)
    assert rows.select("source_uri", "label", "domain").collect().rows() == [
        ("memory:///labelled!0", "fake", "art")
    ]


def test_no_command_repeats_a_run_of_images_in_memory(lake):
    """Its record and its summary name none."""
    result = moderated(lake, ARRAYS)
    assert result.again is None
    assert find_run(assay.Lake(lake), result.run_id).params["command"] is None


def test_a_flow_is_not_sent_images(lake):
    """A worker has another memory."""
    with pytest.raises(ConfigError, match="images in memory, which a Prefect flow cannot be sent"):
        moderated(lake, ARRAYS, server=True)
