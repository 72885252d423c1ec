"""A dataset takes the images that a condition or a list of ids names, and says so."""

from __future__ import annotations

import hashlib
import json

import polars as pl
import pytest
from lakes import Made, Shot, lake_of

from assay.data.errors import ConfigError, InputError
from assay.flows.cli import main
from assay.flows.dry_run.datasets import publish_effects
from assay.tasks.publish.ids_file import read_ids
from assay.tasks.publish.pinned import pin
from assay.tasks.publish.publish import publish
from assay.tasks.publish.selection import CONDITION_SCHEMA, Selection, condition_of


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Make a lake of six images, three of them labelled; probabilities 0.1 to 0.9."""
    probs = (0.1, 0.2, 0.4, 0.8, 0.9, None)
    labels = ("real", None, "fake", "fake", None, None)
    shots = [
        Shot(name=f"p{i}", seed=i, prob=prob, label=label, domain="ads" if i < 3 else None)
        for i, (prob, label) in enumerate(zip(probs, labels, strict=True))
    ]
    return lake_of(tmp_path_factory.mktemp("made") / "lake", shots)


def names_of(made: Made, selection: Selection) -> str:
    ids = made.lake.scan("images").select("image_id").collect()["image_id"]
    kept = set(selection.kept(made.lake, pin(made.lake), ids))
    return "".join(name[1:] for name, image_id in made.ids.items() if image_id in kept)


@pytest.mark.parametrize(
    ("where", "names"),
    [
        ("decision = 'flag' or label = 'fake'", "234"),
        ("label is null and prob_fake is not null", "14"),
        ("prob_fake > avg(prob_fake)", "34"),
        ("domain = 'ads' and width_px >= 480", "012"),
        ("not is_synthetic and logit is null", "5"),
        ("prob_fake < 2", "01234"),
        ((pl.col("prob_fake") - 0.5).abs() > 0.35, "04"),
        (pl.col("synthetic_license_flags").is_null(), "012345"),
    ],
)
def test_a_condition_takes_rows_by_the_columns_of_the_dataset(made, where, names):
    """SQL and expressions of polars see labels as words, and nulls fit no comparison."""
    assert names_of(made, Selection.of(where=where)) == names


def test_condition_ids_and_labels_hold_together(made):
    """An image has to fit all parts; an id that is named twice counts once."""
    ids = [made.ids[name] for name in ("p0", "p1", "p3", "p3")]
    assert names_of(made, Selection.of(ids=ids)) == "013"
    assert names_of(made, Selection.of(ids=pl.Series(ids), where="prob_fake < 0.5")) == "01"
    assert names_of(made, Selection.of(ids=iter(ids), only_labelled=True)) == "03"
    assert names_of(made, Selection.of(ids=[])) == ""


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("desision = 'flag'", "desision is not a column.*decision"),
        ("label in (select 1 from read_csv('/etc/passwd'))", "select is not a column"),
        ("read_csv('/etc/passwd') is not null", "not an allowed function"),
        ("group_id = 'x'", "group_id is not a column"),
        ("prob_fake", "not true or false"),
        ("", "empty"),
        (pl.col("prob_fake"), "not true or false"),
        (pl.col("nothing") > 1, "nothing"),
        (["decision"], "where is a list; allowed: text"),
    ],
)
def test_what_is_no_condition_is_refused_with_the_columns(where, message):
    """Nothing is read for it, and no file can be."""
    with pytest.raises(ConfigError, match=message):
        condition_of(where)


@pytest.mark.parametrize("ids", ["abc", [1, 2], pl.Series([1.5]), [b"a"]])
def test_ids_are_a_list_of_texts(ids):
    """A single text would be a list of letters."""
    with pytest.raises(ConfigError, match="allowed: "):
        Selection.of(ids=ids)


def test_an_unknown_id_is_named(made, tmp_path):
    """A filter on another lake's rows would otherwise publish less than it says."""
    with pytest.raises(InputError, match=r"1 id is no image of .*: feed"):
        publish(made.lake, tmp_path / "out", ids=[made.ids["p0"], "feed"])
    assert not (tmp_path / "out").exists()


def test_a_selection_without_images_says_what_it_was(made, tmp_path):
    """The message repeats the condition."""
    with pytest.raises(InputError, match=r"no images to publish \(where prob_fake > 2\); .*others"):
        publish(made.lake, tmp_path / "out", where="prob_fake > 2")


def test_card_and_lock_name_the_selection(made, tmp_path):
    """The lock has the condition, and the number and hash of the ids."""
    out = tmp_path / "out"
    ids = [made.ids[name] for name in ("p3", "p4", "p5")]
    result = publish(made.lake, out, where="decision = 'flag'", ids=ids)
    assert sum(result.splits.values()) == 2
    lock = json.loads((out / "VERSIONS.lock").read_text())
    digest = hashlib.sha256("\n".join(sorted(ids)).encode()).hexdigest()
    assert lock["selection"] == {
        "where": "decision = 'flag'",
        "ids": {"count": 3, "sha256": digest},
        "only_labelled": False,
    }
    card = (out / "README.md").read_text()
    assert "holds the images of the lake named by 3 ids, where decision = 'flag'." in card


def test_a_selection_changes_no_group(made, tmp_path):
    """Groups are those of the whole lake, whichever images are taken."""
    files = {}
    for name, where in (("all", None), ("some", "prob_fake > 0.3")):
        publish(made.lake, tmp_path / name, where=where)
        files[name] = pl.read_parquet(tmp_path / name / "data" / "*.parquet")
    both = files["some"].join(files["all"], on="image_id", suffix="_of_all")
    assert both.height == 3
    assert both["group_id"].to_list() == both["group_id_of_all"].to_list()


def test_a_whole_key_names_the_scores(made):
    """It pins the same scores as the names that stand for it."""
    known = pin(made.lake)
    assert pin(made.lake, key=known.key, policy_id=known.policy_id) == known


def test_a_dry_run_counts_the_rows_of_the_condition(made, tmp_path):
    """It counts what a publication would write."""
    effects = publish_effects(
        made.lake, tmp_path / "out", overwrite=False, where="prob_fake is not null"
    )
    assert effects.writes[0].count == 5


def test_the_columns_of_a_condition_are_those_of_the_dataset():
    """All but the image, its group and lists."""
    assert {"label", "decision", "is_synthetic", "width_px"} < set(CONDITION_SCHEMA)
    assert not {"image", "group_id", "synthetic_license_flags"} & set(CONDITION_SCHEMA)


@pytest.mark.parametrize("name", ["ids.txt", "ids.csv", "ids.parquet", "ids.JSONL"])
def test_ids_are_read_from_lines_and_from_tables(tmp_path, name):
    """What `export` writes names its images; empty lines and nulls name none."""
    file = tmp_path / name
    rows = pl.DataFrame({"prob_fake": [0.5, 0.1, 0.2], "image_id": ["b2", None, "001"]})
    match file.suffix.lower():
        case ".txt":
            file.write_text("b2\n\n 001\r\n")
        case ".csv":
            rows.write_csv(file)
        case ".parquet":
            rows.write_parquet(file)
        case _:
            rows.write_ndjson(file)
    assert read_ids(file).to_list() == ["b2", "001"]


def test_files_without_ids_are_refused(tmp_path):
    """A table without the column, an empty file and a missing file are errors of the input."""
    (tmp_path / "other.csv").write_text("id,score\na,1\n")
    (tmp_path / "empty.txt").write_text("\n")
    (tmp_path / "photo.txt").write_bytes(b"\xff\xd8\xff")
    for name, message in (
        ("other.csv", "no column image_id, but id, score"),
        ("empty.txt", "names no image"),
        ("photo.txt", "cannot read ids from"),
        ("missing.txt", "cannot read ids from"),
        ("missing.parquet", "cannot read ids from"),
    ):
        with pytest.raises(InputError, match=message):
            read_ids(tmp_path / name)


def test_the_command_publishes_the_images_of_a_file(made, tmp_path, capsys):
    """The dry run counts as the publish does."""
    ids = tmp_path / "ids.txt"
    ids.write_text("\n".join(made.ids[name] for name in ("p0", "p3", "p4")))
    told = ("publish", "--lake", made.lake.uri, "--ids", str(ids), "--json")
    for more in (("--dry-run",), ()):
        main([*told, "--to", str(tmp_path / "out"), *more])
        printed = json.loads(capsys.readouterr().out)
        counts = printed["splits"].values() if "splits" in printed else [_rows(printed)]
        assert sum(counts) == 3


def _rows(effects):
    return next(each["count"] for each in effects["writes"] if "rows" in each["what"])
