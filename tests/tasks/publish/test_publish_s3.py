"""A dataset in an object store is the old one or the new one, whatever happens when."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import polars as pl
import pytest
from faulty_proxy import FaultyProxy, faulty_proxy
from lakes import Made, Shot, lake_of
from printed_commands import shown_by_command
from processes import PROCESSES
from s3_server import s3_server

from assay.data.errors import ConfigError, StoreError
from assay.data.store.lake import Lake
from assay.data.store.object_files import ObjectStore
from assay.data.store.places import whole_prefix
from assay.data.store.places.whole_prefix import PrefixPublication
from assay.flows.cli import main
from assay.flows.dry_run.datasets import publish_effects
from assay.tasks.lake.pins import pinned
from assay.tasks.publish.publish import publish

SHARES = (0.6, 0.2, 0.2)
SECRET = "a-secret-of-the-store"


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    with s3_server("sets") as client, pytest.MonkeyPatch.context() as patched:
        patched.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        yield client


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    shots = [Shot(name=f"{n}", seed=n, size=(64, 48), label="real") for n in range(8)]
    return lake_of(tmp_path_factory.mktemp("published") / "lake", shots)


def objects(s3: Any, prefix: str) -> dict[str, bytes]:
    """Return the objects below a prefix, by their names in it."""
    listed = s3.list_objects_v2(Bucket="sets", Prefix=f"{prefix}/").get("Contents", [])
    return {
        entry["Key"].removeprefix(f"{prefix}/"): s3.get_object(Bucket="sets", Key=entry["Key"])[
            "Body"
        ].read()
        for entry in listed
    }


def dataset(s3: Any, prefix: str) -> tuple[int, int]:
    """Return seed and number of rows of a dataset, read as its lock says, after a check."""
    found = objects(s3, prefix)
    lock = json.loads(found["VERSIONS.lock"])
    rows = 0
    for name, facts in lock["files"].items():
        assert hashlib.sha256(found[name]).hexdigest() == facts["sha256"]
        rows += pl.read_parquet(io.BytesIO(found[name])).height
    return lock["seed"], rows


@contextlib.contextmanager
def proxied(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    parts = urlsplit(os.environ["AWS_ENDPOINT_URL"])
    assert parts.hostname is not None
    assert parts.port is not None
    with faulty_proxy(parts.hostname, parts.port, share=0.0) as (proxy, address):
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        yield proxy


def test_a_dataset_is_read_from_its_address(s3: Any, made: Made) -> None:
    """Lock and card name the data files; polars reads them by the address of the result."""
    result = publish(made.lake, "s3://sets/one", fractions=SHARES)
    assert result.out == "s3://sets/one"
    found = objects(s3, "one")
    assert set(found) == {"README.md", "VERSIONS.lock", *result.files}
    assert dataset(s3, "one") == (0, 8)
    rows = pl.read_parquet([f"{result.out}/{name}" for name in result.files])
    assert set(rows["image_id"]) == set(made.ids.values())
    folder = result.files[0].rpartition("/")[0]
    assert f"path: {folder}/train-*.parquet" in found["README.md"].decode()
    assert pl.read_parquet(f"{result.out}/{folder}/*.parquet").height == 8


def test_the_objects_open_as_a_folder_once_they_are_copied(
    s3: Any, made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The card leads `datasets` to the files, as in a folder that was published."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    import datasets

    publish(made.lake, "s3://sets/copied", fractions=SHARES)
    for name, raw in objects(s3, "copied").items():
        (tmp_path / "copy" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "copy" / name).write_bytes(raw)
    loaded = datasets.load_dataset(str(tmp_path / "copy"), cache_dir=str(tmp_path / "cache"))
    ids = [image_id for split in loaded.values() for image_id in split["image_id"]]
    assert sorted(ids) == sorted(made.ids.values())


def test_no_key_is_written_anywhere(s3: Any, made: Made) -> None:
    """Neither into the store nor into the lake, which remembers the address alone."""
    publish(made.lake, "s3://sets/keys")
    stored = b"".join(objects(s3, "keys").values())
    files = [file for file in Path(made.lake.uri).rglob("*") if file.is_file()]
    stored += b"".join(file.read_bytes() for file in files)
    assert SECRET.encode() not in stored
    assert b"s3://sets/keys" in stored
    assert pinned(made.lake)["images"]


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("s3://key:word@sets/x", "has keys or a query"),
        ("s3://sets/x?X-Amz-Signature=abc", "has keys or a query"),
        ("https://sets/x", "is neither a local folder nor s3://bucket/prefix"),
        ("hf://datasets/a/b", "is neither a local folder nor s3://bucket/prefix"),
    ],
)
def test_other_addresses_are_refused(made: Made, out: str, said: str) -> None:
    """Without their secrets, and before anything is read."""
    with pytest.raises(ConfigError, match=said) as caught:
        publish(made.lake, out)
    assert "word" not in str(caught.value)
    assert "abc" not in str(caught.value)


def test_a_dataset_is_replaced_only_if_asked_and_its_files_go(s3: Any, made: Made) -> None:
    """The old data files are removed after the lock names the new ones."""
    first = publish(made.lake, "s3://sets/again")
    with pytest.raises(ConfigError, match="is not empty; name another prefix, or replace it"):
        publish(made.lake, "s3://sets/again")
    with pytest.raises(ConfigError, match="is not empty"):
        publish_effects(made.lake, "s3://sets/again", overwrite=False)
    second = publish(made.lake, "s3://sets/again", seed=3, overwrite=True)
    assert dataset(s3, "again") == (3, 8)
    assert set(first.files).isdisjoint(objects(s3, "again"))
    assert second.files[0].split("/")[1] in objects(s3, "again")["README.md"].decode()


def test_what_is_no_dataset_of_assay_is_not_replaced(s3: Any, made: Made) -> None:
    """Other objects below the prefix stay."""
    s3.put_object(Bucket="sets", Key="other/notes.txt", Body=b"mine")
    with pytest.raises(ConfigError, match="is not a dataset published by assay"):
        publish(made.lake, "s3://sets/other", overwrite=True)
    assert objects(s3, "other") == {"notes.txt": b"mine"}


def killed(lake: str, out: str, moment: str, env: dict[str, str]) -> None:
    """Publish in a process that dies at a given moment."""
    os.environ.update(env)
    real = ObjectStore.upload

    def upload(self: ObjectStore, name: str, file: Path) -> None:
        real(self, name, file)
        if moment == "after a file":
            os.kill(os.getpid(), signal.SIGKILL)

    def write(*_args: object) -> bool:
        os.kill(os.getpid(), signal.SIGKILL)
        return True

    ObjectStore.upload = upload  # type: ignore[method-assign]
    if moment == "before the lock":
        ObjectStore.replace = write  # type: ignore[method-assign]
    if moment == "after the lock":
        ObjectStore.creating = write  # type: ignore[assignment,method-assign]
    publish(Lake(lake), out, seed=1, overwrite=True, fractions=SHARES)


@pytest.mark.xdist_group("forked")
@pytest.mark.parametrize(
    ("moment", "seed"), [("after a file", 0), ("before the lock", 0), ("after the lock", 1)]
)
def test_after_a_kill_the_dataset_is_the_old_or_the_new_one(
    s3: Any, made: Made, monkeypatch: pytest.MonkeyPatch, moment: str, seed: int
) -> None:
    """The next publication removes what a dead one left, once no running one can have left it."""
    name = moment.replace(" ", "-")
    publish(made.lake, f"s3://sets/{name}", fractions=SHARES)
    variables = {key: value for key, value in os.environ.items() if key.startswith("AWS_")}
    child = PROCESSES.Process(
        target=killed, args=(made.lake.uri, f"s3://sets/{name}", moment, variables)
    )
    child.start()
    child.join(timeout=60)
    assert child.exitcode == -signal.SIGKILL
    assert dataset(s3, name) == (seed, 8)
    n_folders = {key.split("/")[1] for key in objects(s3, name) if key.startswith("data/")}
    assert len(n_folders) == 2
    publish(made.lake, f"s3://sets/{name}", seed=2, overwrite=True)
    assert dataset(s3, name) == (2, 8)
    monkeypatch.setattr(whole_prefix, "_UNFINISHED_AFTER_S", -5)
    publish(made.lake, f"s3://sets/{name}", seed=4, overwrite=True)
    assert dataset(s3, name) == (4, 8)
    left = {key.split("/")[1] for key in objects(s3, name) if key.startswith("data/")}
    assert len(left) == 1


def test_the_remains_of_a_first_publication_do_not_take_the_place(s3: Any, made: Made) -> None:
    """Without a lock there is no dataset; young remains may belong to another process."""
    key = "first/data/0123abcd/train-00000-of-00002.parquet"
    s3.put_object(Bucket="sets", Key=key, Body=b"half")
    result = publish(made.lake, "s3://sets/first")
    assert result.recovered is None
    assert dataset(s3, "first") == (0, 8)
    assert key.removeprefix("first/") in objects(s3, "first")


def test_of_two_publications_the_later_one_loses(
    s3: Any, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock that was read at the start must still be there; the loser removes its files."""
    real = PrefixPublication.put

    def overtaken(self: PrefixPublication) -> None:
        monkeypatch.setattr(PrefixPublication, "put", real)
        publish(made.lake, "s3://sets/two", seed=7, overwrite=True)
        real(self)

    for before in (False, True):
        if before:
            publish(made.lake, "s3://sets/two", seed=6, overwrite=True)
        monkeypatch.setattr(PrefixPublication, "put", overtaken)
        with pytest.raises(ConfigError, match="another process has published to s3://sets/two"):
            publish(made.lake, "s3://sets/two", seed=1, overwrite=True)
        assert dataset(s3, "two") == (7, 8)
        assert len([key for key in objects(s3, "two") if key.startswith("data/")]) == len(
            json.loads(objects(s3, "two")["VERSIONS.lock"])["files"]
        )


def test_requests_that_a_busy_store_refuses_are_sent_again(
    s3: Any, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three of ten requests are answered 503, and bodies are cut off."""
    with proxied(monkeypatch) as proxy:
        proxy.busy, proxy.share = 0.3, 0.2
        publish(made.lake, "s3://sets/busy")
        publish(made.lake, "s3://sets/busy", seed=5, overwrite=True)
    assert proxy.n_busy > 0
    assert dataset(s3, "busy") == (5, 8)


def test_a_store_that_refuses_writes_keeps_the_dataset(
    s3: Any, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the file that could not be written."""
    publish(made.lake, "s3://sets/refused")
    with proxied(monkeypatch) as proxy:
        proxy.methods["PUT"] = 403
        with pytest.raises(StoreError, match=r"cannot write s3://sets/refused/data/\w+/train-"):
            publish(made.lake, "s3://sets/refused", seed=1, overwrite=True)
    assert dataset(s3, "refused") == (0, 8)


def test_a_large_file_is_sent_in_parts(s3: Any, tmp_path: Path) -> None:
    """24 MB come back as they were."""
    raw = os.urandom(24_000_000)
    (tmp_path / "file").write_bytes(raw)
    store = whole_prefix.prefix_at("s3://sets/parts").store
    store.upload("data/file", tmp_path / "file")
    assert objects(s3, "parts") == {"data/file": raw}
    assert s3.head_object(Bucket="sets", Key="parts/data/file")["ETag"].endswith('-3"')


def test_the_command_publishes_to_a_store_and_prints_how_to_open_it(
    s3: Any, made: Made, capsys: pytest.CaptureFixture[str]
) -> None:
    """Parquet by polars, tar shards by obstore."""
    main(["publish", "--lake", made.lake.uri, "--to", "s3://sets/command"])
    assert "published   s3://sets/command" in capsys.readouterr().out
    shards = publish(made.lake, "s3://sets/tars", format="webdataset")
    parquet = publish(made.lake, "s3://sets/plain", format="parquet")
    assert "'image_id'" in shown_by_command(parquet)
    assert ".json" in shown_by_command(shards)


@pytest.mark.parametrize("format_", ["hf", "parquet", "webdataset"])
def test_a_step_gives_the_rows_of_a_dataset_in_a_store(s3: Any, made: Made, format_: str) -> None:
    """As of one in a folder: what follows in a flow needs not know where it is."""
    from assay.flows.plain import publish as step

    dataset = step(made.lake.uri, f"s3://sets/step-{format_}", format=format_)
    rows = dataset.rows()
    assert set(rows["image_id"]) == set(made.ids.values())
    assert dict(rows["split"].value_counts().iter_rows()) == dataset.splits
