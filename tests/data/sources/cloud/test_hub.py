"""Data sets of the Hub as sources, from a server on loopback that answers like it."""

from __future__ import annotations

import hashlib
import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cloud_pictures import png

from assay.data.errors import InputError
from assay.data.sources.buckets import open_bucket
from assay.data.sources.find import SourceOptions, find_items, read_item

OPTIONS = SourceOptions()
COMMIT = "c" * 40


def table() -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table({"image": [png(3), png(4)], "label": [0, 1]}), file)
    return file.getvalue()


FILES = {
    "README.md": b"card",
    "data/train.parquet": table(),
    "images/fake/1.png": png(1),
    "images/real/2.png": png(2),
}


class Hub(BaseHTTPRequestHandler):
    """The endpoints of the Hub that a source needs: revision, tree, paths and files."""

    protocol_version = "HTTP/1.1"
    busy = 0
    asked: list[str]

    def do_GET(self) -> None:
        """Answer with a revision, a tree or a file."""
        parts = urlsplit(self.path)
        path = unquote(parts.path)
        type(self).asked.append(path)
        if Hub.busy and "/resolve/" in path:
            Hub.busy -= 1
            self._answer(503, b"")
        elif path in {"/api/datasets/org/name", "/api/datasets/org/name/revision/v1"}:
            self._json({"id": "org/name", "sha": COMMIT, "siblings": []})
        elif path.startswith(f"/api/datasets/org/name/tree/{COMMIT}"):
            folder = path.removeprefix(f"/api/datasets/org/name/tree/{COMMIT}").strip("/")
            # As the Hub does: folders first, and no order of keys.
            found = [name for name in reversed(FILES) if name.startswith(folder)]
            self._json([{"type": "directory", "path": "images", "oid": "d"}, *map(entry, found)])
        elif path.startswith(f"/datasets/org/name/resolve/{COMMIT}/"):
            raw = FILES[path.removeprefix(f"/datasets/org/name/resolve/{COMMIT}/")]
            wanted = self.headers.get("Range")
            if wanted is None:
                self._answer(200, raw)
            else:
                start, end = map(int, wanted.removeprefix("bytes=").split("-"))
                self._answer(206, raw[start : end + 1])
        else:
            self._answer(404, b"", {"X-Error-Code": "RepoNotFound"})

    def do_POST(self) -> None:
        """Answer with the entries of paths."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        kind = self.headers.get("Content-Type", "")
        paths = json.loads(body)["paths"] if "json" in kind else parse_qs(body)["paths"]
        self._json([entry(path) for path in paths if path in FILES])

    def _json(self, value: object) -> None:
        self._answer(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _answer(self, status: int, raw: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *args: object) -> None:
        """Log nothing."""


def entry(path: str) -> dict[str, object]:
    raw = FILES[path]
    oid = hashlib.sha1(raw).hexdigest()
    return {"type": "file", "path": path, "size": len(raw), "oid": oid}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    Hub.asked = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
    template = f"{address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    open_bucket._buckets.clear()
    yield Hub
    server.shutdown()
    server.server_close()


def test_a_data_set_is_read_at_one_commit(hub):
    """Folders, globs, tables and single files, with labels of folders; the revision is pinned."""
    label = SourceOptions(label_from="parent-folder")
    items = list(find_items(["hf://datasets/org/name@v1/images"], label))
    assert [(item.source_uri, item.label) for item in items] == [
        ("hf://datasets/org/name@v1/images/fake/1.png", "fake"),
        ("hf://datasets/org/name@v1/images/real/2.png", "real"),
    ]
    assert [read_item(item, OPTIONS) for item in items] == [png(1), png(2)]
    assert sum("/revision/" in path for path in hub.asked) == 1
    [one] = find_items(["hf://datasets/org/name/images/real/2.png"], OPTIONS)
    assert read_item(one, OPTIONS) == png(2)
    rows = list(find_items(["hf://datasets/org/name/data/*.parquet"], OPTIONS))
    assert [(read_item(row, OPTIONS), row.label) for row in rows] == [
        (png(3), "real"),
        (png(4), "fake"),
    ]


def test_a_whole_data_set_leaves_its_card_out(hub):
    """The card beside `data/` is no item."""
    items = list(find_items(["hf://datasets/org/name"], OPTIONS))
    assert len(items) == 4


def test_a_busy_hub_is_asked_again(hub):
    """A file whose first answer is 503 comes with the second."""
    [item] = find_items(["hf://datasets/org/name/images/fake/1.png"], OPTIONS)
    Hub.busy = 1
    assert read_item(item, OPTIONS) == png(1)
    assert Hub.busy == 0


def test_a_data_set_that_does_not_exist_is_refused(hub):
    """The message names the source."""
    with pytest.raises(InputError, match="hf://datasets/org/other/x: "):
        find_items(["hf://datasets/org/other/x"], OPTIONS)
