"""`assay diff` names what differs between two published datasets."""

import json
import shutil

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lakes import KEY, Shot, lake_of, reviewed

from assay.data.errors import ConfigError, InputError
from assay.flows.cli import app
from assay.tasks.decide.decide_images import decide_images
from assay.tasks.decide.policy_file import load_policy, policy_from_dict
from assay.tasks.publish.publish import publish
from assay.tasks.versions.compare import Kind, Move, compare
from assay.tasks.versions.draw import draw
from assay.tasks.versions.published import ROWS, Published, read_published

ALL_IN_TRAIN = (1.0, 0.0, 0.0)


def shots(n=4):
    return [Shot(name=f"p{i}", seed=i, prob=0.1 + 0.2 * i) for i in range(n)]


def of(rows, **lock):
    """Return a dataset with rows (image_id, split, label, decision)."""
    full = [(image, split, label, decision, image) for image, split, label, decision in rows]
    return Published(name="x", lock=lock, rows=pl.DataFrame(full, schema=ROWS, orient="row"))


@pytest.mark.parametrize("a_format", ["hf", "webdataset"])
@pytest.mark.parametrize("b_format", ["hf", "parquet"])
def test_two_publications_of_one_lake_differ_by_what_happened_between(tmp_path, a_format, b_format):
    """A label, a decision, a split, an image more and one less are told apart, in any format."""
    made = lake_of(tmp_path / "lake", shots())
    ids = made.ids
    a_ids = [ids["p0"], ids["p1"], ids["p2"]]
    b_ids = [ids["p1"], ids["p2"], ids["p3"]]
    publish(made.lake, tmp_path / "a", ids=a_ids, fractions=ALL_IN_TRAIN, format=a_format)
    reviewed(made, "p1", "real")
    band = {"default": {"review_at": 0.0, "flag_at": 0.001}}
    strict = policy_from_dict(load_policy().as_dict() | {"name": "strict"} | band, source="test")
    decide_images(made.lake, image_ids=None, key=KEY, policy=strict, run_id="r2")
    publish(
        made.lake,
        tmp_path / "b",
        ids=b_ids,
        fractions=(0.0, 0.0, 1.0),
        seed=7,
        format=b_format,
        policy_id=strict.policy_id,
        key=KEY,
    )
    found = compare(
        read_published(tmp_path / "a"), read_published(tmp_path / "b" / "VERSIONS.lock")
    )
    assert (found.n_a, found.n_b, found.n_unchanged) == (3, 3, 0)
    counted = {kind.value: found.count(kind) for kind in Kind}
    assert counted == {"added": 1, "removed": 1, "relabelled": 1, "redecided": 2, "resplit": 2}
    by_kind = {move.kind: move for move in found.moves}
    added = Move(kind=Kind.ADDED, before=None, after="test", n=1, examples=(ids["p3"],))
    assert by_kind[Kind.ADDED] == added
    relabelled = by_kind[Kind.RELABELLED]
    assert (relabelled.before, relabelled.after, relabelled.examples) == (
        "none",
        "real",
        (ids["p1"],),
    )
    assert {"policy_id", "seed", "fractions", "selection"} <= found.settings.keys()
    assert found.settings["seed"] == (0, 7)
    assert ("data_format" in found.settings) == (a_format != b_format)
    assert not {"detector", "lake", "tables"} & found.settings.keys()


def test_a_dataset_does_not_differ_from_itself(tmp_path):
    """Nothing is added, removed or changed, and no setting differs."""
    made = lake_of(tmp_path / "lake", shots(2))
    publish(made.lake, tmp_path / "a")
    found = compare(read_published(tmp_path / "a"), read_published(tmp_path / "a"))
    assert (found.moves, found.settings, found.n_unchanged) == ((), {}, 2)
    assert found.notes == ("both are the same publication, or copies of it",)


def test_datasets_without_a_common_image_say_so():
    """The lakes differ, and every image is added or removed."""
    a, b = ([(image, "train", None, None)] for image in ("i1", "i2"))
    found = compare(of(a, lake="/x"), of(b, lake="/y"))
    assert [draw(found).count(word) for word in ("two lakes", "no image in common")] == [1, 1]
    assert (found.count(Kind.ADDED), found.count(Kind.REMOVED), found.n_unchanged) == (1, 1, 0)


def test_the_text_counts_each_change_and_names_examples():
    """A line per kind, one per pair of words, and the settings with both values."""
    before = [
        ("i1", "train", "real", None),
        ("i2", "train", None, "flag"),
        ("i3", "test", "x", "x"),
    ]
    after = [("i1", "test", "fake", None), ("i2", "train", None, "clear"), ("i4", "test", "x", "x")]
    found = compare(of(before, seed=1, detector="old"), of(after, seed=1, detector="new"))
    assert draw(found).splitlines() == [
        "a           x",
        "            3 images",
        "b           x",
        "            3 images",
        "setting     detector: old -> new",
        "added       1",
        "  to test                          1   i4",
        "removed     1",
        "  from test                        1   i3",
        "relabelled  1",
        "  real -> fake                     1   i1",
        "re-decided  1",
        "  flag -> clear                    1   i2",
        "re-split    1",
        "  train -> test                    1   i1",
        "unchanged   0",
    ]


def test_settings_of_settings_are_named_where_they_are_given():
    """A cap per label is one; what was not given, and what a limit left out, is not shown."""
    limits = {"cap": {"label": 60}, "balance": None, "left_out": [{"why": "cap", "images": 2}]}
    selection = {"where": None, "ids": None, "only_labelled": False}
    found = compare(of([], limits=None, selection=None), of([], limits=limits, selection=selection))
    assert [line for line in draw(found).splitlines() if line.startswith("setting")] == [
        "setting     selection: none -> all images",
        "setting     limits: none -> cap label=60",
    ]


WORDS = st.sampled_from(["x", "y", None])
DATASETS = st.dictionaries(
    st.integers(0, 9).map("i{}".format), st.tuples(st.sampled_from(["train", "test"]), WORDS, WORDS)
)


@given(a=DATASETS, b=DATASETS)
@settings(deadline=None, max_examples=100)
def test_the_counts_are_those_of_a_comparison_one_by_one(a, b):
    """Each image counts once per kind of change, and every image is in one of the counts."""
    found = compare(*(of([(image, *words) for image, words in one.items()]) for one in (a, b)))
    both = a.keys() & b.keys()
    assert found.count(Kind.ADDED) == len(b.keys() - a.keys())
    assert found.count(Kind.REMOVED) == len(a.keys() - b.keys())
    for at, kind in enumerate((Kind.RESPLIT, Kind.RELABELLED, Kind.REDECIDED)):
        assert found.count(kind) == sum(a[image][at] != b[image][at] for image in both)
    assert found.n_unchanged == sum(a[image] == b[image] for image in both)


def test_what_is_no_dataset_is_refused(tmp_path):
    """A folder without a lock, a foreign JSON file, a missing data file and an address."""
    with pytest.raises(InputError, match="not a dataset published by assay"):
        read_published(tmp_path)
    (tmp_path / "VERSIONS.lock").write_text('{"a": 1}')
    with pytest.raises(InputError, match=r"is not the VERSIONS\.lock of a dataset"):
        read_published(tmp_path)
    (tmp_path / "VERSIONS.lock").write_text("{")
    with pytest.raises(InputError, match="cannot read"):
        read_published(tmp_path)
    with pytest.raises(ConfigError, match="copy the dataset to a folder"):
        read_published("https://host/dataset")
    made = lake_of(tmp_path / "lake", shots(1))
    result = publish(made.lake, tmp_path / "a")
    file = tmp_path / "a" / result.files[0]
    raw = file.read_bytes()
    file.write_bytes(raw[:-9])
    with pytest.raises(InputError, match=rf"{len(raw) - 9:,} bytes instead of the {len(raw):,} "):
        read_published(tmp_path / "a")
    file.write_bytes(raw[:-9] + bytes(9))
    with pytest.raises(InputError, match=r"cannot read .*publish the dataset again"):
        read_published(tmp_path / "a")
    file.unlink()
    with pytest.raises(InputError, match=r"is missing, which its VERSIONS\.lock names"):
        read_published(tmp_path / "a")


def test_the_command_prints_json(tmp_path, capsys):
    """`assay diff A B --json` has the counts and the changes with ids."""
    made = lake_of(tmp_path / "lake", shots(2))
    publish(made.lake, tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    app(["diff", str(tmp_path / "a"), str(tmp_path / "b"), "--json"], result_action="return_value")
    values = json.loads(capsys.readouterr().out)
    assert values["images"] == {"a": 2, "b": 2, "unchanged": 2}
    assert (values["added"], values["changes"], values["settings"]) == (0, [], {})
