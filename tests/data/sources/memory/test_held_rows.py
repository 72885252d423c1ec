"""Rows in memory are a source: named, numbered, hashed by content, with labels as in tables."""

import pickle

import datasets
import factories
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from PIL import Image

from assay.data.errors import InputError
from assay.data.sources.find import find_items, read_item
from assay.data.sources.items import SourceOptions
from assay.data.sources.memory.frame import FrameRows
from assay.data.sources.memory.held_rows import holding
from assay.data.sources.memory.hub_dataset import DatasetRows
from assay.data.sources.memory.image_list import ImageList
from assay.data.vocabulary import Reason

RAWS = [factories.jpeg(seed=seed) for seed in range(3)]
OPTIONS = SourceOptions()
DATASET = datasets.Dataset.from_dict(
    {"image": [{"bytes": raw, "path": None} for raw in RAWS], "label": [0, 1, -1]},
    features=datasets.Features(
        image=datasets.Image(), label=datasets.ClassLabel(names=["fake", "real"])
    ),
)


def listed(rows, options=OPTIONS):
    with holding(rows) as text:
        return list(find_items([text], options))


def bytes_of(items, options=OPTIONS):
    return [read_item(item, options) for item in items]


def frames():
    columns = {"image": RAWS, "label": ["fake", "real", None], "domain": ["a", "b", "c"]}
    frame = pl.DataFrame(columns)
    return [frame, frame.to_pandas(), frame.to_arrow(), pa.RecordBatch.from_pydict(columns)]


def test_the_rows_of_a_list_are_numbered_items():
    """Whatever a cell is: an image, an array, bytes, a path; a missing one has a reason."""
    cells = [Image.new("L", (4, 4)), np.zeros((4, 4), np.uint8), RAWS[0], None]
    items = listed(ImageList(cells, "my images", OPTIONS))
    assert [item.source_uri for item in items] == [f"memory:///my%20images!{n}" for n in range(4)]
    assert items[3].problem == (Reason.BAD_ROW, "no image: the value is missing")
    first, second, third = bytes_of(items[:3])
    assert first == second
    assert third == RAWS[0]


def test_a_path_in_a_list_is_the_file(tmp_path):
    """As text and as a path; a change of the file changes the item, not the batch."""
    path = tmp_path / "a.jpg"
    path.write_bytes(RAWS[0])
    cells = [path, str(path), RAWS[1]]
    before = ImageList(cells, "images", OPTIONS)
    items = listed(before)
    assert bytes_of(items) == [RAWS[0], RAWS[0], RAWS[1]]
    path.write_bytes(RAWS[2])
    after = ImageList(cells, "images", OPTIONS)
    assert after.digest == before.digest
    marks = [[item.fingerprint for item in listing] for listing in (items, listed(after))]
    assert [one == two for one, two in zip(*marks, strict=True)] == [False, False, True]


@pytest.mark.parametrize("kind", range(4))
def test_a_frame_gives_images_labels_and_domains(kind):
    """The same from polars, pandas, a table and a batch of Arrow."""
    rows = FrameRows(frames()[kind], "frame", OPTIONS)
    items = listed(rows)
    assert [(item.source_uri, item.label, item.domain) for item in items] == [
        ("memory:///frame!0", "fake", "a"),
        ("memory:///frame!1", "real", "b"),
        ("memory:///frame!2", None, "c"),
    ]
    assert bytes_of(items) == RAWS
    assert rows.digest == FrameRows(frames()[0], "frame", OPTIONS).digest


@pytest.mark.parametrize(
    "column",
    [
        pd.Series([Image.new("L", (4, 4), n) for n in range(3)], name="picture"),
        pl.Series("picture", [Image.new("L", (4, 4), n) for n in range(3)], dtype=pl.Object),
        pd.Series([np.full((4, 4), n, np.uint8) for n in range(3)], name="picture"),
    ],
)
def test_a_column_of_images_is_found_by_what_it_holds(column):
    """Beside columns of text and numbers, under any name."""
    frame = column.to_frame()
    text = ["x"] * 3
    frame = (
        frame.with_columns(text=pl.Series(text))
        if isinstance(frame, pl.DataFrame)
        else frame.assign(text=text)
    )
    items = listed(FrameRows(frame, "frame", OPTIONS))
    assert bytes_of(items) == bytes_of(
        listed(ImageList([np.full((4, 4), n, np.uint8) for n in range(3)], "images", OPTIONS))
    )


def test_paths_of_several_types_and_missing_values_are_cells(tmp_path):
    """As pandas has them: texts, paths, None and NaN in one column."""
    path = tmp_path / "a.jpg"
    path.write_bytes(RAWS[0])
    frame = pd.DataFrame({"path": pd.Series([str(path), path, None, np.nan], dtype=object)})
    items = listed(FrameRows(frame, "frame", OPTIONS))
    assert [item.problem is None for item in items] == [True, True, False, False]
    assert bytes_of(items[:2]) == [RAWS[0]] * 2


def test_a_list_of_images_in_a_cell_is_an_item_for_each():
    """As in Parquet files."""
    frame = pl.DataFrame({"images": [RAWS[:2], []]})
    items = listed(FrameRows(frame, "frame", OPTIONS))
    names = [item.source_uri.partition("!")[2] for item in items]
    assert names == ["0/0", "0/1", "1"]
    assert bytes_of(items[:2]) == RAWS[:2]


def test_a_float_array_in_a_column_is_named_by_its_row():
    """Before anything is read."""
    frame = pd.DataFrame({"image": [np.zeros((4, 4), np.uint8), np.zeros((4, 4))]})
    with pytest.raises(InputError, match=r"frame\[1\] is an array of float64"):
        FrameRows(frame, "frame", OPTIONS)


def test_columns_that_are_missing_or_twice_are_refused():
    """With the names that there are."""
    with pytest.raises(InputError, match="no column that looks like images; it has: a"):
        FrameRows(pl.DataFrame({"a": [1]}), "frame", OPTIONS)
    with pytest.raises(InputError, match='no column "x"'):
        FrameRows(frames()[0], "frame", SourceOptions(image_column="x"))
    with pytest.raises(InputError, match="two columns"):
        FrameRows(pd.DataFrame([[1, 2]], columns=["a", "a"]), "frame", OPTIONS)


def test_a_dataset_is_listed_without_reading_its_images():
    """Class names are labels, and the bytes are those that it holds, in any order of rows."""
    shuffled = DATASET.select([2, 0, 1])
    for dataset, order in ((DATASET, [0, 1, 2]), (shuffled, [2, 0, 1])):
        items = listed(DatasetRows(dataset, "photos", OPTIONS))
        assert bytes_of(items) == [RAWS[n] for n in order]
        assert [item.label for item in items] == [["fake", "real", None][n] for n in order]
    assert DatasetRows(DATASET, "a", OPTIONS).digest != DatasetRows(shuffled, "a", OPTIONS).digest


def test_a_list_of_images_in_a_dataset_is_an_item_for_each():
    """As in Parquet files; a row without an image is one with a reason."""
    lists = datasets.Dataset.from_dict(
        {"images": [[{"bytes": raw, "path": None} for raw in RAWS[:2]], []]},
        features=datasets.Features(images=datasets.List(datasets.Image())),
    )
    items = listed(DatasetRows(lists, "albums", OPTIONS))
    assert [item.source_uri.partition("!")[2] for item in items] == ["0/0", "0/1", "1"]
    assert bytes_of(items[:2]) == RAWS[:2]
    assert items[2].problem == (Reason.BAD_ROW, "a list without an image")


def test_a_dataset_of_files_notices_that_a_file_has_changed(tmp_path):
    """By its size and time."""
    path = tmp_path / "a.jpg"
    path.write_bytes(RAWS[0])
    dataset = datasets.Dataset.from_dict({"image": [str(path)]})
    dataset = dataset.cast_column("image", datasets.Image())
    (before,) = listed(DatasetRows(dataset, "files", OPTIONS))
    path.write_bytes(RAWS[1] + b"\0")
    (after,) = listed(DatasetRows(dataset, "files", OPTIONS))
    assert before.fingerprint != after.fingerprint
    assert bytes_of([after]) == [RAWS[1] + b"\0"]


@pytest.mark.parametrize(
    "rows",
    [
        ImageList([np.zeros((4, 4), np.uint8), RAWS[0]], "images", OPTIONS),
        FrameRows(frames()[0], "frame", OPTIONS),
        DatasetRows(DATASET, "photos", OPTIONS),
    ],
)
def test_items_reach_another_process(rows):
    """Each with its own image alone."""
    items = listed(rows)
    sent = pickle.dumps(items[0])
    assert bytes_of([pickle.loads(sent)]) == bytes_of(items[:1])
    assert len(sent) < 3 * max(map(len, RAWS))


def test_rows_are_a_source_for_the_time_of_a_block_only():
    """Afterwards the text names nothing."""
    with holding(ImageList(RAWS, "images", OPTIONS)) as text:
        assert len(list(find_items([text], OPTIONS))) == 3
    with pytest.raises(InputError, match="pass them to"):
        find_items([text], OPTIONS)
