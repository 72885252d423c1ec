"""A published dataset is made again to the byte from its lock, or a message says what is gone."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path

import pytest
from lakes import Made, Shot, lake_of, reviewed, synthesised

from assay.data.errors import ConfigError, GateRefused, InputError, MissingVersion
from assay.data.score_key import ScoreKey
from assay.data.store.lake import Lake
from assay.flows.cli import app
from assay.flows.plain import publish as step
from assay.tasks.decide.decide_images import decide_images
from assay.tasks.decide.policy_file import load_policy, policy_from_dict
from assay.tasks.lake.compact import compact
from assay.tasks.lake.forget import forget
from assay.tasks.lake.vacuum import vacuum
from assay.tasks.publish.publish import publish
from assay.tasks.versions.published import read_lock
from assay.tasks.versions.remake import publish_from_lock

SHARES = (0.5, 0.25, 0.25)


def shots(names: str) -> list[Shot]:
    return [
        Shot(name=name, seed=ord(name), size=(64, 48), prob=0.3, label="real") for name in names
    ]


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return lake_of(tmp_path / "lake", shots("abcdef"))


def move_on(made: Made, folder: Path) -> None:
    """Change a lake: answers, lineage, other decisions, an image more, files merged."""
    reviewed(made, "a", "fake")
    synthesised(made, "b", None)
    band = {"default": {"review_at": 0.0, "flag_at": 0.001}}
    rules = load_policy().as_dict() | {"name": "strict"} | band
    strict = policy_from_dict(rules, source="test")
    key = ScoreKey(
        **made.lake.scan("scores").select(ScoreKey.columns()).collect().row(0, named=True)
    )
    decide_images(made.lake, image_ids=None, key=key, policy=strict, run_id="r2")
    other = lake_of(folder / "other", shots("z"))
    for table in ("sightings", "scores"):
        made.lake.append(table, other.lake.scan(table).collect(), txn=f"more-{table}")
    rows = other.lake.scan("images").collect()
    (Path(made.lake.uri) / rows["shard"][0]).write_bytes(
        (Path(other.lake.uri) / rows["shard"][0]).read_bytes()
    )
    made.lake.append("images", rows, txn="more-images")
    compact(made.lake)


def content(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("data_format", ["hf", "parquet", "webdataset"])
def test_every_byte_is_the_same_after_the_lake_has_moved_on(
    made: Made, tmp_path: Path, data_format: str
) -> None:
    """Files, card and lock are equal, in each format; an ordinary publication differs."""
    out = tmp_path / "out"
    publish(made.lake, out, seed=3, fractions=SHARES, format=data_format, where="logit < 0")
    move_on(made, tmp_path)
    again = publish_from_lock(Lake(made.lake.uri), read_lock(out), tmp_path / "again")
    assert content(tmp_path / "again") == content(out)
    assert again.splits == read_lock(out)["splits"]
    publish(made.lake, tmp_path / "now", seed=3, fractions=SHARES, format=data_format)
    assert content(tmp_path / "now")["VERSIONS.lock"] != content(out)["VERSIONS.lock"]


def test_the_command_takes_lake_and_options_from_the_lock(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--from-lock` needs no `--lake`, refuses options that the lock has, and has a dry run."""
    out = tmp_path / "out"
    limits = {"cap": {"label": 5}, "exclude_license_flags": ["powered_by_stability_ai"]}
    publish(made.lake, out, align_encoding=True, embeddings=True, **limits)

    def run(*words: str) -> None:
        lock = ["--from-lock", str(out / "VERSIONS.lock"), "--to", str(tmp_path / "again")]
        app(["publish", *lock, *words], result_action="return_value")

    with pytest.raises(ConfigError, match="--seed cannot be given with --from-lock"):
        run("--seed", "4")
    run("--dry-run", "--json")
    assert json.loads(capsys.readouterr().out)["reads"][0]["count"] == 5
    assert not (tmp_path / "again").exists()
    run("--json")
    assert content(tmp_path / "again") == content(out)


def test_ids_are_given_again_and_compared(made: Made, tmp_path: Path) -> None:
    """The lock has their hash: without them, or with others, nothing is written."""
    ids = [made.ids[name] for name in "abc"]
    publish(made.lake, tmp_path / "out", ids=ids)
    lock = read_lock(tmp_path / "out")
    with pytest.raises(ConfigError, match="was published by 3 ids"):
        publish_from_lock(made.lake, lock, tmp_path / "again")
    with pytest.raises(ConfigError, match="ids differs from the lock"):
        publish_from_lock(made.lake, lock, tmp_path / "again", ids=ids[:2])
    publish_from_lock(made.lake, lock, tmp_path / "again", ids=reversed(ids))
    assert content(tmp_path / "again") == content(tmp_path / "out")


def test_after_a_vacuum_the_message_names_what_is_gone(made: Made, tmp_path: Path) -> None:
    """A lake that did not keep the versions says which tables lost which files."""
    out = tmp_path / "out"
    publish(made.lake, out)
    lock = read_lock(out)
    for pin in Path(made.lake.path("published")).iterdir():
        pin.unlink()
    move_on(made, tmp_path)
    vacuum(made.lake, older_than_s=3600.0, now_s=time.time() + 7200.0)
    with pytest.raises(
        MissingVersion, match="a vacuum removed what it was read from: images"
    ) as no:
        publish_from_lock(Lake(made.lake.uri), lock, tmp_path / "again")
    assert "scores" in str(no.value)
    assert not (tmp_path / "again").exists()


def test_a_forgotten_image_is_named_and_the_rest_is_published(made: Made, tmp_path: Path) -> None:
    """The refusal offers the rest; one outside of the dataset does not hinder it."""
    out, inside = tmp_path / "out", [made.ids[name] for name in "abcde"]
    publish(made.lake, out, ids=inside, fractions=SHARES)
    lock = read_lock(out)
    forget(made.lake, [made.ids["f"]], by="ann")
    publish_from_lock(made.lake, lock, tmp_path / "again", ids=inside)
    assert content(tmp_path / "again") == content(out)
    forget(made.lake, [made.ids["a"]], by="ann")
    with pytest.raises(GateRefused, match=r"images were forgotten after .*--without-f"):
        publish_from_lock(made.lake, lock, tmp_path / "third", ids=inside)
    rest = publish_from_lock(
        made.lake, lock, tmp_path / "third", ids=inside, without_forgotten=True
    )
    assert sum(rest.splits.values()) == 4


def test_a_forgotten_image_of_a_whole_lake_is_named_too(made: Made, tmp_path: Path) -> None:
    """A dataset without a list of ids is made, compared with the lock, and refused."""
    publish(made.lake, tmp_path / "out")
    forget(made.lake, [made.ids["b"]], by="ann")
    lock = read_lock(tmp_path / "out")
    with pytest.raises(GateRefused, match="1 image was forgotten"):
        publish_from_lock(made.lake, lock, tmp_path / "again")
    assert [path.name for path in tmp_path.iterdir() if "again" in path.name] == []


def test_files_that_differ_are_never_put_in_place(made: Made, tmp_path: Path) -> None:
    """A lock with another hash is refused with the file's name and the release that made it."""
    publish(made.lake, tmp_path / "out")
    lock = read_lock(tmp_path / "out")
    name = min(lock["files"])
    files = lock["files"] | {name: {"sha256": "0" * 64, "n_bytes": 1}}
    other = lock | {"files": files, "assay": "0.0.1"}
    with pytest.raises(
        GateRefused, match=rf"1 of \d files would differ .*{Path(name).name}.*assay 0\.0\.1"
    ):
        publish_from_lock(made.lake, other, tmp_path / "again")
    with pytest.raises(InputError, match="no whole score key"):
        publish_from_lock(made.lake, lock | {"precision": None}, tmp_path / "again")
    assert not (tmp_path / "again").exists()
    assert dataclasses.is_dataclass(publish_from_lock(made.lake, lock, tmp_path / "again"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seed": "x"}, "has seed = 'x'"),
        ({"fractions": [1.0]}, r"has fractions = \[1.0\]"),
        ({"tables": {"scores": 1}}, "lacks tables.images"),
        ({"tables": {"images": 1, "scores": -1}}, "has tables.scores = -1"),
        ({"files": {"../out": {"sha256": "0" * 64, "n_bytes": 1}}}, "has files.../out"),
        ({"files": {"data/train-0-of-1.tar": {"n_bytes": 1}}}, "lacks files.data/train-.*sha256"),
    ],
)
def test_an_altered_lock_names_what_no_publication_writes(
    made: Made, tmp_path: Path, change: dict[str, object], said: str
) -> None:
    """Before the lake is read; a lock that is cut off is refused as well."""
    publish(made.lake, tmp_path / "out")
    file = tmp_path / "out" / "VERSIONS.lock"
    lock = json.loads(file.read_text())
    file.write_text(json.dumps(lock | change))
    with pytest.raises(InputError, match=said):
        read_lock(file)
    file.write_text(json.dumps(lock)[:-9])
    with pytest.raises(InputError, match=r"is cut off or no VERSIONS\.lock"):
        read_lock(file)


def test_a_version_that_the_lake_never_had_is_named(made: Made, tmp_path: Path) -> None:
    """It is not taken for one that a vacuum removed."""
    publish(made.lake, tmp_path / "out")
    lock = read_lock(tmp_path / "out")
    other = lock | {"tables": lock["tables"] | {"images": 99}}
    with pytest.raises(MissingVersion, match="names version 99 of images, which has versions up"):
        publish_from_lock(made.lake, other, tmp_path / "again")


def test_the_step_makes_a_dataset_again(made: Made, tmp_path: Path) -> None:
    """With `from_lock` it takes the lake of the lock, and refuses what the lock has."""
    publish(made.lake, tmp_path / "out", seed=2)
    again = step(None, tmp_path / "again", from_lock=tmp_path / "out")
    assert content(tmp_path / "again") == content(tmp_path / "out")
    assert (again.lake, again.images) == (made.lake.uri, 6)
    step(made.lake.uri, tmp_path / "moved", from_lock=tmp_path / "out" / "VERSIONS.lock")
    with pytest.raises(ConfigError, match="--seed, --fractions cannot be given with --from-lock"):
        step(None, tmp_path / "third", from_lock=tmp_path / "out", seed=1, fractions=(1, 0, 0))
    with pytest.raises(ConfigError, match="decided is None"):
        step(None, tmp_path / "third")
    with pytest.raises(ConfigError, match="goes with from_lock"):
        step(made.lake.uri, tmp_path / "third", without_forgotten=True)


def test_a_lock_of_a_later_format_is_refused(tmp_path: Path) -> None:
    """The message names both formats and what to do."""
    lock = {"format": 2, "files": {}, "tables": {}, "seed": 0}
    (tmp_path / "VERSIONS.lock").write_text(json.dumps(lock))
    with pytest.raises(InputError, match=r"has format 2; .* reads format 1; upgrade assay"):
        read_lock(tmp_path)
