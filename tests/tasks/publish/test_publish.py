"""A published dataset opens in other libraries, has the right labels and no leaks."""

from __future__ import annotations

import ast
import contextlib
import hashlib
import io
import json
import shlex
import subprocess
from pathlib import Path

import duckdb
import polars as pl
import pyarrow.parquet as pq
import pytest
from lakes import DETECTOR, KEY, Made, Shot, drawn, lake_of, reviewed, synthesised

from assay.data.errors import ConfigError, GateRefused, InputError, StoreError
from assay.data.schema import TABLES
from assay.data.store.lake import Lake
from assay.tasks.labels import best_labels
from assay.tasks.lake.pins import pinned
from assay.tasks.publish import plan as plan_module
from assay.tasks.publish import publish as publish_module
from assay.tasks.publish.dataset_card import _plain
from assay.tasks.publish.opening import opening_command
from assay.tasks.publish.publish import publish


def shots(n: int = 30) -> list[Shot]:
    """Return different images, each of three also as a copy of lower quality."""
    made = []
    for i in range(n):
        label = ("real", "fake", None)[i % 3]
        made.append(Shot(name=f"p{i}", seed=i, prob=(i + 0.5) / n, label=label, domain="art"))
        if i % 3 == 0:
            made.append(Shot(name=f"p{i}-again", seed=i, quality=40, size=(240, 220)))
    return made


def rows_of(out: Path) -> pl.DataFrame:
    return pl.concat(
        pl.read_parquet(file).with_columns(split=pl.lit(file.name.partition("-")[0]))
        for file in sorted((out / "data").iterdir())
    )


def test_datasets_opens_the_folder_with_its_features_labels_and_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """`load_dataset(DIR)` gives splits, an Image and a ClassLabel feature, and the same bytes.

    It has nothing to warn of, and the card's figures are those of the files.
    """
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    import datasets

    made = lake_of(tmp_path / "lake", shots())
    result = publish(made.lake, tmp_path / "out", fractions=(0.6, 0.2, 0.2))
    loaded = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert not [record.getMessage() for record in caplog.records if record.levelname != "INFO"]
    assert {name: split.num_rows for name, split in loaded.items()} == result.splits
    told = datasets.load_dataset_builder(str(tmp_path / "out")).info
    assert {name: split.num_examples for name, split in told.splits.items()} == result.splits
    n_raw_bytes = sum(len(drawn(shot)) for shot in shots())
    assert n_raw_bytes < told.dataset_size < 2 * n_raw_bytes
    assert told.dataset_size == sum(split.num_bytes for split in told.splits.values())
    files = [tmp_path / "out" / file for file in result.files]
    assert told.download_size == sum(file.stat().st_size for file in files)
    assert set(result.splits) == {"train", "validation", "test"}
    features = loaded["train"].features
    assert isinstance(features["image"], datasets.Image)
    assert features["label"] == datasets.ClassLabel(names=["real", "fake", "laundered"])
    assert features["synthetic_license_flags"] == datasets.List(datasets.Value("string"))
    assert loaded["train"][0]["image"].size in {(480, 440), (240, 220)}
    encoded = datasets.concatenate_datasets(list(loaded.values())).cast_column(
        "image", datasets.Image(decode=False)
    )
    expected = {hashlib.sha256(drawn(shot)).hexdigest(): drawn(shot) for shot in shots()}
    assert {row["image_id"]: row["image"]["bytes"] for row in encoded} == expected
    names = {0: "real", 1: "fake", -1: None}
    wanted = {made.ids[shot.name]: shot.label for shot in shots()}
    assert {row["image_id"]: names[row["label"]] for row in encoded} == wanted


@pytest.mark.parametrize(
    "name",
    [
        "plain",
        "it's here",
        'a "b" c',
        "übel & süß",
        "$HOME `id` $(id) \\",
        "new\nline",
        "a%20b",
        "\udcff",
    ],
)
def test_the_printed_command_opens_the_folder_whatever_it_is_called(name: str) -> None:
    """The shell passes one argument, code that names the folder."""
    command = opening_command(f"/data/{name}", [])
    script = f'set -- {command}; printf "%s" "$3"'.encode("utf-8", "surrogateescape")
    code = subprocess.run(["sh", "-c", script], capture_output=True, check=True).stdout
    named = [n.value for n in ast.walk(ast.parse(code)) if isinstance(n, ast.Constant)]
    assert named == [f"/data/{name}"]
    assert b"datasets.load_dataset" in code


def test_a_folder_that_datasets_takes_for_a_pattern_is_opened_otherwise(tmp_path: Path) -> None:
    """Arrow opens folders with brackets and stars in their names."""
    made = lake_of(tmp_path / "lake", [Shot(name="a")])
    result = publish(made.lake, tmp_path / "it's [1] *")
    _, _, code = shlex.split(opening_command(result.out, result.files))
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code, "printed", "exec"), {})
    assert "image_id" in out.getvalue()


def test_splits_that_cannot_be_as_asked_are_said_in_result_lock_and_card(tmp_path: Path) -> None:
    """A group of eight among twelve images limits the shares."""
    made = lake_of(
        tmp_path / "lake",
        [Shot(name=f"copy{q}", seed=1, quality=20 + 8 * q, label="real") for q in range(8)]
        + [Shot(name=f"p{i}", seed=10 + i) for i in range(4)],
    )
    result = publish(made.lake, tmp_path / "out", fractions=(0.4, 0.3, 0.3))
    assert result.splits == {"train": 8, "validation": 2, "test": 2}
    note = result.to_json()["split_note"]
    assert note == (
        "requested train 40%, validation 30%, test 30%; reached train 67%, validation 17%, test"
        " 17%: groups are not divided, and the largest has 8 of 12 images"
    )
    assert note in " ".join((tmp_path / "out" / "README.md").read_text().split())
    assert json.loads((tmp_path / "out" / "VERSIONS.lock").read_text())["split_note"] == note
    labelled = publish(made.lake, tmp_path / "labelled", only_labelled=True)
    assert labelled.splits == {"train": 8}
    assert "reached train 100%" in (labelled.split_note or "")


def test_the_card_alone_gives_the_same_features(tmp_path: Path) -> None:
    """The YAML of README.md equals the metadata of the Parquet files."""
    import datasets

    made = lake_of(tmp_path / "lake", [Shot(name="a")])
    publish(made.lake, tmp_path / "out")
    from huggingface_hub import DatasetCard

    card = DatasetCard.load(tmp_path / "out" / "README.md")
    of_card = datasets.Features._from_yaml_list(card.data.to_dict()["dataset_info"]["features"])
    file = next((tmp_path / "out" / "data").iterdir())
    metadata = json.loads(pq.read_schema(file).metadata[b"huggingface"])
    assert datasets.Features.from_dict(metadata["info"]["features"]) == of_card
    assert card.data.license == "other"
    assert card.data.size_categories == ["n<1K"]
    assert "(fill in a contact)" in card.text


def test_polars_and_duckdb_read_it_too(tmp_path: Path) -> None:
    """Scores, decisions and lineage are plain Parquet columns."""
    made = lake_of(tmp_path / "lake", shots(6))
    synthesised(made, "p1", "p0")
    publish(made.lake, tmp_path / "out")
    rows = rows_of(tmp_path / "out").rows_by_key("image_id", named=True, unique=True)
    child = rows[made.ids["p1"]]
    assert child["is_synthetic"]
    assert child["synthetic_parent_id"] == made.ids["p0"]
    assert child["synthetic_license_flags"] == ["research-only"]
    assert (
        "Licence flags of the synthetic images: `research-only`"
        in (tmp_path / "out" / "README.md").read_text()
    )
    assert child["detector"] == DETECTOR
    assert child["weights_sha256"] == "5" * 64
    assert child["policy_id"].startswith("default@")
    assert child["decision"] == "clear"
    assert child["prob_fake"] == pytest.approx(0.25)
    assert child["domain"] == "art"
    assert not rows[made.ids["p0"]]["is_synthetic"]
    found = duckdb.sql(
        f"select count(*), sum(octet_length(image.bytes)) from '{tmp_path}/out/data/*.parquet'"
    ).fetchall()
    assert found == [(8, sum(len(drawn(shot)) for shot in shots(6)))]


def test_copies_and_children_do_not_cross(tmp_path: Path) -> None:
    """A copy of another size and quality, and a child that looks different, stay together."""
    made = lake_of(tmp_path / "lake", shots())
    for i in range(1, 10):
        synthesised(made, f"p{i}", f"p{i + 10}")
    publish(made.lake, tmp_path / "out", fractions=(0.4, 0.3, 0.3))
    split = dict(rows_of(tmp_path / "out").select("image_id", "split").iter_rows())
    for i in range(0, 30, 3):
        assert split[made.ids[f"p{i}"]] == split[made.ids[f"p{i}-again"]]
    for i in range(1, 10):
        assert split[made.ids[f"p{i}"]] == split[made.ids[f"p{i + 10}"]]


def test_publishing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    """The same lake and seed give the same files; another seed gives other splits."""
    made = lake_of(tmp_path / "lake", shots())
    first = publish(made.lake, tmp_path / "one")
    publish(made.lake, tmp_path / "two")
    for file in first.files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    lock = json.loads((tmp_path / "one" / "VERSIONS.lock").read_text())
    assert lock["tables"] == {table: made.lake.version(table) for table in TABLES}
    kept = pinned(made.lake)  # by a vacuum
    assert kept == {table: {v} for table, v in lock["tables"].items() if v is not None}
    for file, facts in lock["files"].items():
        raw = (tmp_path / "one" / file).read_bytes()
        assert facts == {"sha256": hashlib.sha256(raw).hexdigest(), "n_bytes": len(raw)}
    publish(made.lake, tmp_path / "three", seed=1)
    one, three = (
        rows_of(tmp_path / name).sort("image_id")["split"].to_list() for name in ("one", "three")
    )
    assert one != three


def test_files_and_row_groups_are_cut_by_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """File names count the files, and no row is lost between them."""
    monkeypatch.setattr(publish_module, "MAX_FILE_BYTES", 40_000)
    made = lake_of(tmp_path / "lake", shots())
    result = publish(made.lake, tmp_path / "out", fractions=(1, 0, 0))
    assert len(result.files) > 2
    assert result.files[0] == f"data/train-00000-of-{len(result.files):05d}.parquet"
    assert result.splits == {"train": 40}
    assert rows_of(tmp_path / "out")["image_id"].n_unique() == 40


def evidence(tmp_path: Path) -> Made:
    names = ["person", "people", "unsure", "made", "made-real", "sources", "source", "none"]
    made = lake_of(
        tmp_path / "lake",
        [
            Shot(name=name, seed=i, prob=0.99, label="real" if "source" in name else None)
            for i, name in enumerate(names)
        ],
    )
    reviewed(made, "person", "real", hour=1)
    reviewed(made, "person", "laundered", hour=2)
    reviewed(made, "people", "real", reviewer="ann")
    reviewed(made, "people", "fake", reviewer="ben")
    synthesised(made, "people", None)
    reviewed(made, "unsure", "fake", hour=1)
    reviewed(made, "unsure", "unsure", hour=2)
    synthesised(made, "made", None)
    synthesised(made, "made-real", None)
    reviewed(made, "made-real", "real")
    seen = made.lake.scan("sightings").filter(pl.col("image_id") == made.ids["sources"]).collect()
    other = seen.with_columns(label=pl.lit("Fake "), source_uri=pl.lit("file:///other"))
    made.lake.append("sightings", other, txn="other")
    return made


LABELS = {
    "person": ("laundered", "review", None),
    "people": (None, None, "reviewers disagree: fake, real"),
    "unsure": (None, None, None),
    "made": ("fake", "synthetic", None),
    "made-real": ("real", "review", "overrules lineage: fake"),
    "sources": (None, None, "sources disagree: fake, real"),
    "source": ("real", "source", None),
    "none": (None, None, None),
}


def test_the_label_is_the_strongest_evidence_and_disagreement_is_none(tmp_path: Path) -> None:
    """Reviews win over lineage, lineage over sources."""
    made = evidence(tmp_path)
    labels = best_labels(
        *(made.lake.scan(table) for table in ("reviews", "synthetics", "sightings"))
    ).collect()
    found = {row[0]: row[1:] for row in labels.iter_rows()}
    for name, expected in LABELS.items():
        assert found.get(made.ids[name], (None, None, None)) == expected, name


def test_decisions_become_labels_only_when_asked_for(tmp_path: Path) -> None:
    """Only images without evidence get such a label, named in row and card."""
    made = evidence(tmp_path)
    result = publish(made.lake, tmp_path / "plain")
    assert result.labels == {"fake": 1, "laundered": 1, "real": 2, "unlabelled": 4}
    assert "no label comes from them" in (tmp_path / "plain" / "README.md").read_text()
    publish(made.lake, tmp_path / "pseudo", labels_from_decisions=True)
    rows = rows_of(tmp_path / "pseudo").filter(pl.col("label_evidence") == "decision")
    assert sorted(rows["image_id"]) == sorted([made.ids["unsure"], made.ids["none"]])
    assert rows["label"].to_list() == [1, 1]
    assert "decisions of the detector" in (tmp_path / "pseudo" / "README.md").read_text()


def test_only_the_labelled_can_be_published(tmp_path: Path) -> None:
    """Images without a label are left out on request."""
    made = evidence(tmp_path)
    result = publish(made.lake, tmp_path / "out", only_labelled=True)
    assert result.labels == {"fake": 1, "laundered": 1, "real": 2}


def test_a_lake_that_was_never_scored_can_be_published(tmp_path: Path) -> None:
    """Scores and decisions are null."""
    made = lake_of(tmp_path / "lake", shots(3), is_scored=False)
    result = publish(made.lake, tmp_path / "out")
    assert (result.key, result.to_json()["detector"]) == (None, None)
    assert rows_of(tmp_path / "out").select("logit", "decision", "detector").null_count().row(
        0
    ) == (
        4,
        4,
        4,
    )


def test_a_leak_is_refused_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check of the written files refuses a broken grouping with exit code 6."""
    made = lake_of(tmp_path / "lake", shots())
    monkeypatch.setattr(
        plan_module,
        "group_near_duplicates",
        lambda images, _: images.select("image_id", group_id="image_id"),
    )
    with pytest.raises(GateRefused, match="look alike") as refused:
        publish(made.lake, tmp_path / "out", fractions=(0.4, 0.3, 0.3))
    assert refused.value.exit_code == 6
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["lake"]


def test_an_existing_folder_is_replaced_only_when_it_is_ours_and_by_flag(tmp_path: Path) -> None:
    """Any other folder is refused and left unchanged."""
    made = lake_of(tmp_path / "lake", shots(3))
    out = tmp_path / "out"
    out.mkdir()
    publish(made.lake, out)
    with pytest.raises(ConfigError, match="is not empty"):
        publish(made.lake, out)
    (out / "data" / "stale.txt").write_text("old")
    publish(made.lake, out, overwrite=True)
    assert not (out / "data" / "stale.txt").exists()
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("dear")
    with pytest.raises(ConfigError, match="is not a dataset published by assay"):
        publish(made.lake, mine, overwrite=True)
    assert (mine / "thesis.txt").read_text() == "dear"
    with pytest.raises(ConfigError, match="is a file"):
        publish(made.lake, mine / "thesis.txt")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["lake", "mine", "out"]


def test_wrong_arguments_are_refused_with_what_is_allowed(tmp_path: Path) -> None:
    """The errors cover format, detector, policy, fractions and an empty lake."""
    made = lake_of(tmp_path / "lake", shots(3))
    out = tmp_path / "out"
    with pytest.raises(ConfigError, match="'tar' is unknown; allowed: hf, parquet, webdataset"):
        publish(made.lake, out, format="tar")
    with pytest.raises(ConfigError, match=f"detector 'maxi'; allowed: {DETECTOR}"):
        publish(made.lake, out, detector="maxi")
    with pytest.raises(ConfigError, match="policy 'x'; allowed: default@"):
        publish(made.lake, out, policy_id="x")
    with pytest.raises(ConfigError, match="sum to 1"):
        publish(made.lake, out, fractions=(0.5, 0.5, 0.5))
    with pytest.raises(InputError, match="no images to publish; run assay moderate first"):
        publish(Lake(tmp_path / "empty"), out)
    assert not out.exists()
    assert publish(made.lake, out, detector="mini", allow_shortcuts=True).key == KEY
    assert json.loads((out / "VERSIONS.lock").read_text())["allow_shortcuts"] is True


def test_text_from_outside_cannot_break_the_card() -> None:
    """Pipes and tags in a generator's name stay text."""
    assert _plain("a|b<script>\n`x`") == "a\\|b\\<script\\>\u0020'x'"


def test_a_place_without_room_is_told_and_left_as_it_was(tmp_path: Path) -> None:
    """The error names the folder, and no part of the dataset is left."""
    resource = pytest.importorskip("resource")
    made = lake_of(tmp_path / "lake", shots(3))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, limits[1]))
    try:
        with pytest.raises(StoreError, match=rf"^cannot write {tmp_path / 'out'}: "):
            publish(made.lake, tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["lake"]
    assert publish(made.lake, tmp_path / "out").splits
