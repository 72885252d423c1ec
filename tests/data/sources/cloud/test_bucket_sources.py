"""Sources in an object store, from a real S3 server on loopback."""

from __future__ import annotations

import io
import json
import os
import tarfile
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cloud_pictures import listed, png
from faulty_proxy import faulty_proxy

from assay.data.errors import InputError, UnreadableImage
from assay.data.sources.find import SourceOptions, find_items, read_item
from assay.data.sources.items import Item
from assay.data.vocabulary import Reason

OPTIONS = SourceOptions()


def put(s3: Any, prefix: str, files: dict[str, bytes]) -> str:
    for name, raw in files.items():
        s3.put_object(Bucket="gallery", Key=f"{prefix}/{name}", Body=raw)
    return f"s3://gallery/{prefix}"


def names(items: list[Item]) -> list[str]:
    return [item.source_uri.removeprefix("s3://gallery/") for item in items]


def test_a_prefix_is_read_like_a_folder(s3):
    """Images, sidecars, hidden names, placeholders of folders, and odd characters in keys."""
    top = put(
        s3,
        "plain",
        {
            "": b"",
            "a/": b"",
            "a/1.png": png(1),
            "a/1.json": b'{"label": "fake", "domain": "web"}',
            "a/x #1?%20ü.png": png(2),
            ".hidden/2.png": png(3),
            "b/.2.png": png(3),
            "zz.png": png(4),
        },
    )
    items = listed(top)
    assert names(items) == [
        "plain/a/1.png",
        "plain/a/x%20%231%3F%2520%C3%BC.png",
        "plain/zz.png",
    ]
    assert [(item.label, item.domain) for item in items[:2]] == [("fake", "web"), (None, None)]
    assert [read_item(item, OPTIONS) for item in items] == [png(1), png(2), png(4)]
    assert listed(f"{top}/") == items
    assert [item.fingerprint for item in listed(top)] == [item.fingerprint for item in items]


def test_a_changed_object_has_another_fingerprint(s3):
    """An object written anew with the same bytes keeps its fingerprint, with others it changes."""
    top = put(s3, "changing", {"1.png": png(1)})
    [before] = listed(top)
    put(s3, "changing", {"1.png": png(1)})
    assert listed(top)[0].fingerprint == before.fingerprint
    put(s3, "changing", {"1.png": png(2)})
    assert listed(top)[0].fingerprint != before.fingerprint
    for n in (1, 2):
        put(s3, "changing", {"list.txt": b"1.png\n" * n})
        assert len(listed(f"{top}/list.txt")) == n


def test_patterns_and_labels_work_as_for_folders(s3):
    """The label is that of the nearest folder; patterns are compared below the prefix."""
    top = put(
        s3,
        "labelled",
        {f"{label}/{n}.png": png(n) for label in ("real", "fake") for n in range(2)},
    )
    items = listed(top, label_from="parent-folder", exclude=("fake/0.png",))
    assert [(name, item.label) for name, item in zip(names(items), items, strict=True)] == [
        ("labelled/fake/1.png", "fake"),
        ("labelled/real/0.png", "real"),
        ("labelled/real/1.png", "real"),
    ]
    assert names(listed(top, include=("1.png",))) == ["labelled/fake/1.png", "labelled/real/1.png"]


def test_globs_choose_objects_and_folders(s3):
    """`*` stays within a folder and may choose folders; `**` chooses objects."""
    top = put(s3, "globs", {"d1/a.png": png(1), "d1/e/b.png": png(2), "d2/c.jpg": png(3)})
    assert names(listed(f"{top}/d1/*")) == ["globs/d1/a.png", "globs/d1/e/b.png"]
    assert names(listed(f"{top}/d?/*.png")) == ["globs/d1/a.png"]
    assert names(listed(f"{top}/**/*.png")) == ["globs/d1/a.png", "globs/d1/e/b.png"]
    assert len(listed(f"{top}/d*")) == 3
    with pytest.raises(InputError, match="no object matches the pattern"):
        listed(f"{top}/x*/*.png")


def test_a_source_inside_an_earlier_prefix_is_listed_once(s3):
    """An object and a prefix below a prefix that is named before them add nothing."""
    top = put(s3, "once", {"a/1.png": png(1), "2.png": png(2)})
    sources = [top, f"{top}/a", f"{top}/2.png"]
    assert len(list(find_items(sources, OPTIONS))) == 2


def test_a_lake_below_a_prefix_is_passed_over(s3):
    """Its objects are no items, whatever comes before its mark; a lake as source is refused."""
    top = put(
        s3,
        "mixed",
        {
            "1.png": png(1),
            "lake/Aardvark.png": png(2),
            "lake/assay-lake.json": b"{}",
            "lake/shards/x.parquet": b"",
        },
    )
    assert names(listed(top)) == ["mixed/1.png"]
    for inside in (f"{top}/lake", f"{top}/lake/shards", f"{top}/lake/*.png"):
        with pytest.raises(InputError, match="a lake is not a source"):
            listed(inside)


def test_a_table_of_labels_labels_what_lies_below_its_folder(s3):
    """Also objects before it in the order of keys; its rows without an object are rejected."""
    top = put(
        s3,
        "hf",
        {
            "a.png": png(1),
            "metadata.csv": b"file_name,label\na.png,fake\nsub/b.png,real\nnone.png,real\n",
            "sub/b.png": png(2),
            "z.png": png(3),
        },
    )
    items = listed(top)
    assert [(item.label, item.problem) for item in items] == [
        ("fake", None),
        ("real", None),
        (None, None),
        (None, (Reason.NOT_FOUND, "no such object: none.png")),
    ]
    assert items[-1].source_uri == "csv+s3://gallery/hf/metadata.csv!2"


def zipped(files: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, raw in files.items():
            archive.writestr(name, raw)
    return file.getvalue()


def tarred(files: dict[str, bytes], mode: str) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:  # type: ignore[call-overload]
        for name, raw in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(raw)
            archive.addfile(member, io.BytesIO(raw))
    return file.getvalue()


def rows(cells: list[Any], kind: Any = None) -> bytes:
    file = io.BytesIO()
    table = pa.table({"image": pa.array(cells, kind), "label": ["fake"] * len(cells)})
    pq.write_table(table, file)
    return file.getvalue()


def test_files_with_items_inside_are_read_in_place(s3):
    """Archives, Parquet tables and lists give the same items as on a disk."""
    inside = {"x/1.png": png(1), "x/1.txt": b"fake", "x/2.png": png(2)}
    top = put(
        s3,
        "forms",
        {
            "a.zip": zipped(inside),
            "a.tar": tarred(inside, "w"),
            "a.tar.gz": tarred(inside, "w:gz"),
            "b.parquet": rows([png(1), png(2)]),
            "links.parquet": rows(["img/1.png", "s3://gallery/forms/img/2.png"]),
            "list.csv": b"path,label\nimg/1.png,real\n../forms/img/2.png,fake\n",
            "list.jsonl.gz": __import__("gzip").compress(b'{"image": "img/1.png"}\n'),
            "list.txt": b"img/1.png\nimg/2.png\n",
            "img/1.png": png(1),
            "img/2.png": png(2),
        },
    )
    for name, n_items in {
        "a.zip": 2,
        "a.tar": 2,
        "a.tar.gz": 2,
        "b.parquet": 2,
        "links.parquet": 2,
        "list.csv": 2,
        "list.jsonl.gz": 1,
        "list.txt": 2,
    }.items():
        items = listed(f"{top}/{name}")
        assert [item.problem for item in items] == [None] * n_items, name
        assert [read_item(item, OPTIONS) for item in items] == [png(1), png(2)][:n_items], name
    assert listed(f"{top}/a.zip")[0].source_uri == "zip+s3://gallery/forms/a.zip!x/1.png"
    # As in a folder, a Parquet file gives its rows, and other files are themselves.
    assert len(listed(f"{top}/*.zip")) == 2
    assert len(listed(f"{top}/img/1.png")) == 1


def test_a_list_names_what_it_may(s3, tmp_path: Path):
    """In a bucket: its own bucket, no file of this machine. On a disk: what the roots allow."""
    s3.create_bucket(Bucket="elsewhere")
    s3.put_object(Bucket="elsewhere", Key="in/1.png", Body=png(9))
    (tmp_path / "secret.png").write_bytes(png(8))
    lines = (
        f"/etc/hosts\nfile://{tmp_path}/secret.png\n../../../up.png\n"
        "s3://elsewhere/in/1.png\ns3://gallery/listing/1.png\n"
    )
    top = put(s3, "listing", {"list.txt": lines.encode(), "1.png": png(1)})
    problems = [item.problem and item.problem[0] for item in listed(f"{top}/list.txt")]
    assert problems == [Reason.UNSAFE_PATH] * 4 + [None]
    more = listed(f"{top}/list.txt", roots=("s3://elsewhere/in",))
    assert [item.problem is None for item in more] == [False, False, False, True, False]
    own = tmp_path / "own.txt"
    own.write_text("s3://elsewhere/in/1.png\n")
    [item] = listed(str(own))
    assert read_item(item, OPTIONS) == png(9)
    [item] = listed(str(own), roots=(str(tmp_path),))
    assert item.problem is not None
    assert item.problem[0] == Reason.UNSAFE_PATH


def test_what_vanished_is_rejected_with_a_reason(s3):
    """An object removed after it was listed, and one that is too large, give a reason each."""
    top = put(s3, "vanishing", {"1.png": png(1), "2.png": b"x" * 5000})
    one, two = listed(top)
    s3.delete_object(Bucket="gallery", Key="vanishing/1.png")
    with pytest.raises(UnreadableImage) as gone:
        read_item(one, OPTIONS)
    assert gone.value.reason == Reason.NOT_FOUND
    small = SourceOptions(limits=type(OPTIONS.limits)(max_bytes=1000))
    with pytest.raises(UnreadableImage) as large:
        read_item(two, small)
    assert large.value.reason == Reason.TOO_MANY_BYTES


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("s3://no-such-bucket/x", "the bucket or container does not exist"),
        ("s3://gallery/no/such", "no such object or prefix"),
        ("s3://", "no bucket"),
        ("hf://models/x", "no data set"),
    ],
)
def test_an_address_of_nothing_is_refused(s3, source, message):
    """Before anything is ingested, without the keys."""
    with pytest.raises(InputError, match=message) as told:
        find_items([source], OPTIONS)
    assert "testing" not in str(told.value)


def test_a_store_that_cuts_answers_off_loses_no_item(s3, monkeypatch):
    """With a fifth of the answers cut off, a listing of several pages and all bytes come whole."""
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "7")
    top = put(s3, "cut", {f"{n:03}.png": png(n) for n in range(30)})
    parts = urlsplit(os.environ["AWS_ENDPOINT_URL"])
    assert parts.hostname is not None
    assert parts.port is not None
    with faulty_proxy(parts.hostname, parts.port, share=0.2) as (proxy, address):
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        items = listed(top)
        assert [read_item(item, OPTIONS) for item in items] == [png(n) for n in range(30)]
    assert proxy.n_cut > 3


def test_keys_come_from_a_profile_where_the_environment_has_none(s3, monkeypatch, tmp_path):
    """`AWS_PROFILE` chooses among the profiles of ~/.aws; an unknown one is refused."""
    top = put(s3, "profile", {"1.png": png(1)})
    url = os.environ["AWS_ENDPOINT_URL"]
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name)
    (tmp_path / "config").write_text(f"[profile team]\nregion = us-east-1\nendpoint_url = {url}\n")
    (tmp_path / "credentials").write_text(
        "[team]\naws_access_key_id = a\naws_secret_access_key = b\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_PROFILE", "team")
    assert len(listed(top)) == 1
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(Exception, match="AWS_PROFILE is 'nobody'"):
        listed(top)


def test_items_can_be_sent_to_another_process(s3):
    """Addresses are pickled without keys."""
    import pickle

    top = put(s3, "pickled", {"1.png": png(1)})
    [item] = listed(top)
    packed = pickle.dumps(item)
    assert b"testing" not in packed
    assert read_item(pickle.loads(packed), OPTIONS) == png(1)
    assert json.loads(json.dumps(item.source_uri)).isascii()
