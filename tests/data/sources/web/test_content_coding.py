"""Compressed response bodies, and repeated requests for URLs of lists."""

from __future__ import annotations

import dataclasses
import functools
import gzip
import time
import zlib
from http.server import BaseHTTPRequestHandler

import factories
import polars as pl
import pytest
from ingesting import ingest
from web import RAW, Site, answer

from assay.data.errors import UnreadableImage
from assay.data.images.inspect_image import ImageLimits
from assay.data.sources.find import SourceOptions, find_items
from assay.data.sources.web import http
from assay.data.sources.web.content_coding import unpacked
from assay.data.store.lake import Lake

LIMITS = ImageLimits()
OPTIONS = SourceOptions(allow_private_urls=True, fetch_timeout_s=5)


def bare_deflate(raw: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(raw) + stream.flush()


# Without a time of its own, so that the bytes and the test's name are always the same.
packed = functools.partial(gzip.compress, mtime=0)


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("none", RAW),
        ("Identity", RAW),
        ("UTF-8", RAW),
        ("image/jpeg", RAW),
        ("gzip", RAW),
        ("br", RAW),
        ("gzip", packed(RAW)),
        ("GZip", packed(RAW)),
        ("x-gzip", packed(RAW)),
        ("gzip", packed(RAW[:99]) + packed(RAW[99:])),
        ("gzip", packed(RAW) + bytes(512)),
        ("deflate", zlib.compress(RAW)),
        ("deflate", bare_deflate(RAW)),
        ("gzip, identity", packed(RAW)),
        ("deflate, gzip", packed(zlib.compress(RAW))),
    ],
)
def test_a_picture_is_read_however_it_is_packed(coding, body):
    """Codings in any case, several codings, and false ones are read."""
    assert unpacked(body, coding, LIMITS) == RAW


@pytest.mark.parametrize(
    ("coding", "body", "words"),
    [
        ("compress", b"\x1f\x9d" + RAW, 'content coding "compress"; supported: gzip'),
        ("gzip", packed(RAW)[:-20], "damaged gzip body: unexpected end"),
        ("gzip", packed(RAW)[:12] + b"\xff" * 40, "damaged"),
        ("deflate", b"no deflate", "damaged"),
        ("gzip,gzip,gzip,gzip", RAW, "4 content codings"),
    ],
)
def test_what_cannot_be_unpacked_says_why(coding, body, words):
    """Unknown codings and damaged bodies give fetch_failed."""
    with pytest.raises(UnreadableImage, match=words) as caught:
        unpacked(body, coding, LIMITS)
    assert caught.value.reason.value == "fetch_failed"


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
def test_the_byte_limit_holds_for_what_is_unpacked(pack):
    """A small body that decompresses beyond the limit is refused."""
    limits = ImageLimits(max_bytes=100_000)
    coding = "gzip" if pack is gzip.compress else "deflate"
    assert len(unpacked(pack(bytes(100_000)), coding, limits)) == 100_000
    with pytest.raises(UnreadableImage, match="over 100000 unpacked") as caught:
        unpacked(pack(bytes(100_001)), coding, limits)
    assert caught.value.reason.value == "too_many_bytes"
    twice = gzip.compress(bytes(60_000)) * 2
    with pytest.raises(UnreadableImage, match="unpacked"):
        unpacked(twice, "gzip", limits)


def test_brotli_is_read_where_its_library_is_there():
    """Brotli is read within the limit, or the message names the missing library."""
    try:
        import brotli
    except ImportError:
        with pytest.raises(UnreadableImage, match="pip install brotli"):
            unpacked(b"packed", "br", LIMITS)
        return
    assert unpacked(brotli.compress(RAW), "br", LIMITS) == RAW
    with pytest.raises(UnreadableImage, match="unpacked"):
        unpacked(brotli.compress(bytes(10**6)), "br", ImageLimits(max_bytes=10**5))
    with pytest.raises(UnreadableImage, match="ends early"):
        unpacked(brotli.compress(RAW)[:-30], "br", LIMITS)


class Picture:
    """An image at a URL that may change, with one kind of mark or none."""

    def __init__(self, mark: str, *, knows_conditions: bool) -> None:
        self.mark, self.knows_conditions = mark, knows_conditions
        self.version = 1
        self.status = 200
        self.conditions: list[str | None] = []

    def headers(self) -> dict[str, str]:
        """Return the mark of this version."""
        if self.mark == "etag":
            return {"ETag": f'"v{self.version}"'}
        if self.mark == "date":
            return {"Last_Modified": f"Mon, 0{self.version} Jan 2026 00:00:00 GMT"}
        return {}

    def __call__(self, request: BaseHTTPRequestHandler) -> None:
        """Return the response of the server."""
        given = request.headers.get("If-None-Match") or request.headers.get("If-Modified-Since")
        self.conditions.append(given)
        headers = self.headers()
        if self.status != 200:
            answer(b"", self.status)(request)
        elif self.knows_conditions and given in headers.values():
            request.send_response(304)
            request.end_headers()
        else:
            answer(factories.jpeg(seed=self.version), **headers)(request)


@pytest.fixture
def site():
    made = Site()
    yield made
    made.close()


@pytest.fixture
def listed(site, tmp_path):
    """Serve an image, and ingest the list with its URL any number of times."""
    lake = Lake(tmp_path / "lake")
    table = tmp_path / "list.csv"
    table.write_text(f"url\n{site.url('/a.jpg?sig=SIGNATURE')}\n")

    def serve(picture: Picture):
        site.routes["/a.jpg"] = picture

        def run(number: int):
            return ingest(lake, table, run_id=f"run-{number}", options=OPTIONS)

        return lake, run

    return serve


@pytest.mark.parametrize("knows_conditions", [True, False])
@pytest.mark.parametrize("mark", ["etag", "date"])
def test_a_picture_behind_a_listed_url_is_seen_to_change(listed, mark, knows_conditions):
    """An unchanged image is recognised by its mark and not read; a changed one is a new image."""
    picture = Picture(mark, knows_conditions=knows_conditions)
    lake, run = listed(picture)
    assert (run(1).stored, lake.version("sightings")) == (1, 1)
    again = run(2)
    assert (again.unchanged, again.stored, again.n_bytes) == (1, 1, 0)
    assert lake.version("sightings") == 1
    picture.version = 2
    changed = run(3)
    assert (changed.unchanged, changed.stored) == (0, 1)
    assert run(4).unchanged == 1
    assert picture.conditions[0] is None
    assert all(picture.conditions[1:])
    rows = lake.scan("sightings").collect()
    assert rows["image_id"].n_unique() == len(rows) == 2
    assert "SIGNATURE" not in str(rows.to_dicts())


def test_a_server_without_marks_is_asked_and_not_read(listed):
    """Without marks a change is recognised by length alone."""
    picture = Picture("none", knows_conditions=False)
    lake, run = listed(picture)
    assert run(1).stored == 1
    assert (run(2).unchanged, run(3).n_bytes) == (1, 0)
    assert lake.version("sightings") == 1


def test_only_what_a_server_says_is_gone_is_gone(listed, monkeypatch):
    """404 and 410 are recorded; other errors change nothing."""
    monkeypatch.setattr(http, "_PAUSE_S", 0.01)
    picture = Picture("etag", knows_conditions=True)
    lake, run = listed(picture)
    run(0)
    for number, status in enumerate((500, 503, 403, 401), 1):
        picture.status = status
        assert (run(number).unchanged, lake.version("sightings")) == (1, 1)
    picture.status = 410
    gone = run(9)
    assert (gone.rejected, gone.unchanged) == (1, 0)
    picture.status = 200
    assert run(10).stored == 1


def test_a_silent_server_is_not_waited_for_over_every_known_picture(site, tmp_path):
    """After three timeouts in a row the server's other known images are not requested."""
    lake, table = Lake(tmp_path / "lake"), tmp_path / "list.csv"
    names = [f"/{n}.jpg" for n in range(40)]
    table.write_text("\n".join(["url", *map(site.url, names)]))
    for n, name in enumerate(names):
        site.routes[name] = answer(factories.jpeg(seed=n))
    assert ingest(lake, table, options=OPTIONS).stored == 40
    site.asked.clear()

    def sleep(request: BaseHTTPRequestHandler) -> None:
        time.sleep(0.3)
        request.close_connection = True

    site.routes = dict.fromkeys(names, sleep)
    short = dataclasses.replace(OPTIONS, fetch_timeout_s=0.1)
    assert ingest(lake, table, run_id="run-2", options=short).unchanged == 40
    assert len(site.asked) < 20


def test_rows_of_older_lakes_are_read_once_more_and_keep_their_image(listed):
    """A sighting without a mark is requested once without a condition."""
    picture = Picture("etag", knows_conditions=True)
    lake, run = listed(picture)
    run(1)
    row = lake.scan("sightings").collect()
    older = row.with_columns(
        fingerprint=pl.col("fingerprint").str.split(" ").list.first(),
        seen_at=pl.col("seen_at") + pl.duration(microseconds=1),
    )
    lake.append("sightings", older, txn="older")
    once, twice = run(2), run(3)
    assert (once.stored, once.unchanged) == (1, 0)
    assert (twice.stored, twice.unchanged) == (1, 1)
    assert picture.conditions == [None, None, '"v1"']
    assert lake.scan("images").collect().height == 1


def test_a_source_is_marked_where_head_is_refused_and_behind_redirects(site):
    """Marks are read from servers that refuse HEAD, and after redirects."""

    def no_head(request: BaseHTTPRequestHandler) -> None:
        answer(
            b"" if request.command == "HEAD" else RAW,
            403 if request.command == "HEAD" else 200,
            ETag='"1"',
        )(request)

    site.routes["/signed"] = no_head
    site.routes["/moved"] = answer(b"", 302, Location="/signed")
    for path in ("/signed", "/moved"):
        (item,) = find_items([site.url(path)], OPTIONS)
        assert item.fingerprint == '"1"'
