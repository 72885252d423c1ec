"""What people hold becomes sources: paths as they are, rows in memory under a name."""

import datasets
import numpy as np
import pandas as pd
import polars as pl
import pytest
from PIL import Image

from assay.data.errors import ConfigError, InputError
from assay.data.sources.find import find_items
from assay.data.sources.items import SourceOptions
from assay.flows.inputs.held import texts_of

GREY = np.zeros((4, 4), np.uint8)
DATASET = datasets.Dataset.from_dict({"path": ["a.jpg"]})
OPTIONS = SourceOptions()


def uris(*things, name=None):
    with texts_of(things, OPTIONS, name=name) as texts:
        return [item.source_uri for item in find_items(texts, OPTIONS)]


def test_paths_stay_what_they_are(tmp_path):
    """One by one, or in lists and sets; nothing is held."""
    with texts_of(["a", [tmp_path, "b"], ("c",), {"d"}], OPTIONS) as texts:
        assert texts == ("a", str(tmp_path), "b", "c", "d")


@pytest.mark.parametrize(
    ("thing", "expected"),
    [
        (GREY, ["images!0"]),
        (np.zeros((2, 4, 4, 3), np.uint8), ["images!0", "images!1"]),
        (Image.new("L", (4, 4)), ["images!0"]),
        (b"\xff\xd8", ["images!0"]),
        ([GREY, "a.jpg", None, {"bytes": b"x"}], [f"images!{n}" for n in range(4)]),
        (np.array(["a.jpg", None], dtype=object), ["images!0", "images!1"]),
        (pl.DataFrame({"path": ["a", "b"]}), ["frame!0", "frame!1"]),
        (pl.Series("path", ["a"]), ["frame!0"]),
        (pd.Series(["a"]), ["frame!0"]),
        (DATASET, ["dataset!0"]),
    ],
)
def test_what_is_held_has_a_name_and_numbers(thing, expected):
    """A single image is a list of one."""
    assert uris(thing) == [f"memory:///{one}" for one in expected]


def test_two_lists_of_one_call_have_two_names():
    """So that no address is given twice."""
    assert uris(GREY, [GREY]) == ["memory:///images!0", "memory:///images-2!0"]
    assert uris(GREY, DATASET, name="x") == ["memory:///x!0", "memory:///x-2!0"]


def test_a_dataset_has_its_own_name_and_split():
    """As Hugging Face knows it."""
    info = datasets.DatasetInfo(dataset_name="faces")
    named = datasets.Dataset(DATASET.data, info=info, split=datasets.Split.TEST)
    assert uris(named) == ["memory:///faces-test!0"]


@pytest.mark.parametrize("name", ["", " ", "a\nb", "x" * 101])
def test_a_name_is_short_and_printable(name):
    """It stands in every row."""
    with pytest.raises(ConfigError, match=r"name is .*allowed: 1 to 100"):
        uris(GREY, name=name)


def test_an_empty_list_is_no_source():
    """It would otherwise mean the whole lake."""
    with pytest.raises(InputError, match="source 1 is a list without an image"):
        uris([])


@pytest.mark.parametrize(
    ("thing", "advice"),
    [
        (DATASET.to_iterable_dataset(), "streaming=True"),
        (datasets.DatasetDict(train=DATASET), r"data\['train'\]"),
        (DATASET["path"], "pass the dataset itself"),
        (pl.LazyFrame({"path": ["a"]}), r"\.collect\(\)"),
        ((n for n in range(3)), "Pass a list"),
        ({"path": ["a"]}, "allowed: paths"),
        ([GREY, 1.5], r"\[1\] of source 1 is a float"),
    ],
)
def test_what_cannot_be_numbered_is_refused_with_advice(thing, advice):
    """A repeated run must find the same rows again."""
    with pytest.raises(TypeError, match=advice):
        uris(thing)


def test_a_tensor_is_refused_with_the_call_that_converts_it():
    """Its channels come first, and it may be on another device."""
    import torch

    with pytest.raises(TypeError, match=r"numpy\(\)"):
        uris([torch.zeros(3, 4, 4)])
