"""Datasets in an object store are compared, and made again, as those in folders are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lakes import Made, Shot, lake_of, reviewed
from s3_server import s3_server

from assay.data.errors import ConfigError, InputError
from assay.flows.cli import app
from assay.tasks.publish.publish import publish
from assay.tasks.versions.compare import Kind, compare
from assay.tasks.versions.page import write_difference
from assay.tasks.versions.published import read_lock, read_published
from assay.tasks.versions.remake import publish_from_lock


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    with s3_server("versions") as client:
        yield client


@pytest.fixture(scope="module")
def made(s3: Any, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Publish into a folder and a store, and once more after an answer."""
    folder = tmp_path_factory.mktemp("versions")
    made = lake_of(folder / "lake", [Shot(name=f"{n}", seed=n, size=(64, 48)) for n in range(6)])
    publish(made.lake, folder / "a")
    publish(made.lake, "s3://versions/a", format="webdataset")
    reviewed(made, "0", "real")
    publish(made.lake, "s3://versions/b", format="parquet", ids=list(made.ids.values())[:5])
    return made


def hashes(lock: dict[str, Any]) -> dict[str, str]:
    """Return the hashes of the data files by their last names."""
    return {name.rpartition("/")[2]: file["sha256"] for name, file in lock["files"].items()}


@pytest.mark.parametrize("a", ["a", "s3://versions/a", "s3://versions/a/VERSIONS.lock"])
def test_a_folder_or_a_prefix_is_compared_with_a_prefix(made: Made, tmp_path: Path, a: str) -> None:
    """The differences are those of the lake's answers, and the page has images of both sides."""
    where = a if "://" in a else str(Path(made.lake.uri).parent / a)
    before, after = read_published(where), read_published("s3://versions/b")
    found = compare(before, after, n_examples=12)
    counts = {kind: found.count(kind) for kind in (Kind.ADDED, Kind.REMOVED, Kind.RELABELLED)}
    assert counts == {Kind.ADDED: 0, Kind.REMOVED: 1, Kind.RELABELLED: 1}
    page = Path(write_difference(before, after, found, tmp_path / "page.html")).read_text()
    assert page.count('<img class="sharp"') == 2 + found.count(Kind.RESPLIT)


def test_a_dataset_in_a_store_is_made_again(made: Made, tmp_path: Path) -> None:
    """From the lock in the store into a folder, and from one in a folder into the store."""
    lock = read_lock("s3://versions/a")
    publish_from_lock(made.lake, lock, tmp_path / "again")
    assert hashes(read_lock(tmp_path / "again")) == hashes(lock)
    folder = Path(made.lake.uri).parent / "a"
    publish_from_lock(made.lake, read_lock(folder), "s3://versions/again")
    assert hashes(read_lock("s3://versions/again")) == hashes(read_lock(folder))


def test_the_commands_take_addresses(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`diff` and `publish --from-lock`, both sides in the store."""
    app(["diff", "s3://versions/a", "s3://versions/a", "--json"], result_action="return_value")
    assert json.loads(capsys.readouterr().out)["images"] == {"a": 6, "b": 6, "unchanged": 6}
    words = ["--from-lock", "s3://versions/a/VERSIONS.lock", "--to", "s3://versions/c", "--json"]
    app(["publish", *words], result_action="return_value")
    assert json.loads(capsys.readouterr().out)["out"] == "s3://versions/c"


def test_what_is_missing_or_cut_off_in_a_store_is_named(s3: Any, made: Made) -> None:
    """A prefix without a lock, a data file that is gone or too short, an address with a key."""
    with pytest.raises(InputError, match=r"there is no s3://versions/none/VERSIONS\.lock"):
        read_published("s3://versions/none")
    publish(made.lake, "s3://versions/cut")
    name = min(read_lock("s3://versions/cut")["files"])
    raw = s3.get_object(Bucket="versions", Key=f"cut/{name}")["Body"].read()
    s3.put_object(Bucket="versions", Key=f"cut/{name}", Body=raw[:-5])
    with pytest.raises(InputError, match=rf"has {len(raw) - 5:,} bytes instead of"):
        read_published("s3://versions/cut")
    s3.delete_object(Bucket="versions", Key=f"cut/{name}")
    with pytest.raises(InputError, match=r"is missing, which its VERSIONS\.lock names"):
        read_published("s3://versions/cut")
    with pytest.raises(ConfigError, match="has keys or a query"):
        read_lock("s3://key:word@versions/cut")
