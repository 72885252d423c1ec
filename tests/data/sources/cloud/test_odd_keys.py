"""Keys that the client of an object store takes for no path: one rejected item each."""

from __future__ import annotations

import datetime
import hashlib
import os
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from cloud_pictures import listed, png
from faulty_proxy import faulty_proxy

from assay.data.errors import InputError, UnreadableImage
from assay.data.sources.buckets import cloud_bucket, s3_page
from assay.data.sources.buckets.bucket import is_plain
from assay.data.sources.buckets.s3_page import page_of, signature
from assay.data.sources.find import SourceOptions, read_item
from assay.data.store.cloud_options import storage_options
from assay.data.vocabulary import Reason

OPTIONS = SourceOptions()
ODD = ["a//1.png", "a/./1.png", "a/../1.png", "a/1\t.png", "b//c/2.png", "z/.."]
PLAIN = ["a.png", "a/1.png", "a/x y+%2F.png", "a0.png", "b/1.png", "zz/ü.png"]


def put(s3: Any, prefix: str, keys: list[str]) -> None:
    for n, key in enumerate(keys):
        s3.put_object(Bucket="gallery", Key=f"{prefix}{key}", Body=png(n))


@pytest.mark.parametrize("n_per_page", [1, 2, 3, 1000])
def test_an_odd_key_is_one_rejected_item(s3, monkeypatch, n_per_page):
    """The objects before and after it are listed and read, on whatever page of the listing."""
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", str(n_per_page))
    top = f"in{n_per_page}"
    put(s3, f"{top}/", [*ODD, *PLAIN, ".hidden//3.png", "a//1.json"])
    s3.put_object(Bucket="gallery", Key=f"{top}/b//", Body=b"")
    items = listed(f"s3://gallery/{top}")
    bad = {item.source_uri: item.address for item in items if item.fingerprint == "bad"}
    assert list(bad) == [
        f"s3://gallery/{top}/{name}"
        for name in ("a/../1.png", "a/./1.png", "a//1.png", "a/1%09.png", "b//c/2.png", "z/..")
    ]
    for address in bad.values():
        with pytest.raises(UnreadableImage, match="cannot ask for; copy the object") as refused:
            address.read(OPTIONS)
        assert refused.value.reason == Reason.FETCH_FAILED
    good = [item for item in items if item.fingerprint != "bad"]
    assert [item.source_uri.removeprefix(f"s3://gallery/{top}/") for item in good] == [
        "a.png",
        "a/1.png",
        "a/x%20y%2B%252F.png",
        "a0.png",
        "b/1.png",
        "zz/%C3%BC.png",
    ]
    assert [read_item(item, OPTIONS) for item in good] == [png(len(ODD) + n) for n in range(6)]
    # The stamp of an object does not depend on what is beside it.
    assert [item.fingerprint for item in listed(f"s3://gallery/{top}/zz")] == [good[-1].fingerprint]


def test_an_odd_key_in_a_list_is_one_rejected_item(s3):
    """It is told from an object that does not exist; the row after it is read."""
    put(s3, "listed/", ["a//1.png", "2.png"])
    body = b"s3://gallery/listed/a//1.png\n2.png\n"
    s3.put_object(Bucket="gallery", Key="listed/list.txt", Body=body)
    odd, plain = listed("s3://gallery/listed/list.txt")
    with pytest.raises(UnreadableImage, match="copy the object to another key"):
        read_item(odd, OPTIONS)
    assert read_item(plain, OPTIONS) == png(1)
    with pytest.raises(InputError, match="copy the object to another key"):
        listed("s3://gallery/listed/a//1.png")


def test_a_listing_without_keys_to_sign_with_names_the_odd_key(s3, monkeypatch):
    """Keys of an instance role are known to obstore only, which stops at such a page."""
    put(s3, "role/", ["1.png", "a//1.png"])
    monkeypatch.setattr(cloud_bucket, "can_ask", lambda _scheme, _options: False)
    with pytest.raises(InputError, match=r"role/a//1\.png") as refused:
        listed("s3://gallery/role")
    assert "rename or remove such objects" in str(refused.value)
    assert "AWS_" not in str(refused.value)


def test_a_page_is_asked_for_again_while_the_store_is_disturbed(s3, monkeypatch):
    """Half of the answers are cut off; a store that refuses is not asked twice."""
    put(s3, "half/", PLAIN)
    parts = urlsplit(os.environ["AWS_ENDPOINT_URL"])
    monkeypatch.setattr(s3_page.time, "sleep", lambda _s: None)
    monkeypatch.setattr(s3_page, "_MAX_TRIES", 40)
    with faulty_proxy(str(parts.hostname), int(parts.port or 0), share=0.5) as (proxy, address):
        options = storage_options("s3", os.environ | {"AWS_ENDPOINT_URL": address})
        for _ in range(4):
            keys = [info.key for info in page_of("gallery", options, "half", None).infos]
            assert keys == sorted(f"half/{key}" for key in PLAIN)
        assert proxy.n_cut > 0
    with pytest.raises(OSError, match="the store answered 404"):
        page_of("no-such-bucket", storage_options("s3", os.environ), "", None)


@pytest.mark.parametrize("token", [None, "a/token=="])
def test_a_request_is_signed_as_by_botocore(token):
    """The same request at the same time has the same signature."""
    now = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    options = {"aws_access_key_id": "AKID", "aws_secret_access_key": "se/cret"}
    options |= {"aws_region": "eu-west-3"} | ({"aws_session_token": token} if token else {})
    query = "encoding-type=url&list-type=2&prefix=a%20b%2F%C3%BC%2F&start-after=x~%2B%2F%2F"
    empty = hashlib.sha256(b"").hexdigest()
    headers = {"host": "s3.eu-west-3.amazonaws.com", "x-amz-content-sha256": empty}
    ours = signature("/bucket", query, headers, options, now)
    url = f"https://s3.eu-west-3.amazonaws.com/bucket?{query}"
    request = AWSRequest("GET", url, headers={"host": headers["host"]})
    request.context["timestamp"] = "20260102T030405Z"
    signer = S3SigV4Auth(Credentials("AKID", "se/cret", token), "s3", "eu-west-3")
    request.headers["X-Amz-Date"] = "20260102T030405Z"
    request.headers["X-Amz-Content-SHA256"] = empty
    if token:
        request.headers["X-Amz-Security-Token"] = token
    canonical = signer.canonical_request(request)
    mark = signer.signature(signer.string_to_sign(request, canonical), request)
    assert ours["authorization"].endswith(f"Signature={mark}")
    assert ours["x-amz-date"] == "20260102T030405Z"
    assert ours.get("x-amz-security-token") == token


@pytest.mark.parametrize("key", ["a", "a/b.png", "a/", ".a/b", "...", "a b/c:d", "\u00fc"])
def test_plain_keys(key):
    """Dots and other characters in a part, and one slash at the end, are as in any path."""
    assert is_plain(key)


@pytest.mark.parametrize("key", ["/a", "a//b", "a//", ".", "a/..", "./a", "a\tb", "a\x7f"])
def test_odd_keys(key):
    """An empty part, a dot or two as a part, and control characters."""
    assert not is_plain(key)
