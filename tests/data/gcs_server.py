"""A server on loopback that answers like the XML interface of Google Cloud Storage.

It has what clients of object_store use: objects with generations, preconditions on them, ranges,
listings in pages, copies, and uploads in parts.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree as ET

import pytest

PAGE = 3  # A listing has several pages with few objects.


@dataclass(slots=True)
class Stored:
    """One object: its bytes and its generation, which is also when it was written."""

    raw: bytes
    generation: int

    @property
    def e_tag(self) -> str:
        """Name of this version, other than that of equal bytes written before."""
        return f'"{hashlib.md5(self.raw).hexdigest()}-{self.generation}"'


@dataclass(slots=True)
class Bucket:
    """Content of the server's only bucket.

    Attributes:
        name: Name of the bucket.
        objects: Objects by name.
        uploads: Parts of unfinished uploads, by id and number.
        n_refused: Writes that a precondition refused.
    """

    name: str
    objects: dict[str, Stored] = field(default_factory=dict)
    uploads: dict[str, dict[int, bytes]] = field(default_factory=dict)
    n_refused: int = 0
    n_writes: int = 0
    lock: Any = field(default_factory=threading.Lock)

    def put(self, name: str, raw: bytes, expected: str | None) -> Stored | None:
        """Write an object; return None if another generation is there than the expected one."""
        with self.lock:
            found = self.objects.get(name)
            if expected is not None and int(expected) != (found.generation if found else 0):
                self.n_refused += 1
                return None
            self.n_writes += 1
            self.objects[name] = stored = Stored(raw, self.n_writes)
            return stored

    def page(self, prefix: str, delimiter: str, after: str) -> tuple[list[str], list[str], str]:
        """Return names, folders, and where the next page starts ("" for the last one)."""
        names: list[str] = []
        folders: list[str] = []
        for name in sorted(name for name in self.objects if name.startswith(prefix)):
            head, found, _ = name.removeprefix(prefix).partition(delimiter or "\0")
            entry = f"{prefix}{head}{delimiter}" if found else name
            if entry <= after or entry in folders:
                continue
            if len(names) + len(folders) == PAGE:
                return names, folders, max(names + folders)
            (folders if found else names).append(entry)
        return names, folders, ""


def _handler(bucket: Bucket) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _split(self) -> tuple[str, dict[str, str]]:
            parts = urlsplit(self.path)
            root, _, name = parts.path.removeprefix("/").partition("/")
            assert root == bucket.name, self.path
            query = parse_qs(parts.query, keep_blank_values=True)
            return unquote(name), {key: values[0] for key, values in query.items()}

        def do_GET(self) -> None:
            """Answer with a listing, an object or part of one."""
            name, query = self._split()
            if not name:
                self._list(query)
                return
            found = bucket.objects.get(name)
            if found is None:
                self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
                return
            headers = {
                "ETag": found.e_tag,
                "x-goog-generation": str(found.generation),
                "Last-Modified": format_datetime(datetime.now(UTC), usegmt=True),
            }
            wanted = self.headers.get("Range")
            if wanted is None:
                self._answer(200, found.raw, headers)
                return
            start, _, end = wanted.removeprefix("bytes=").partition("-")
            size = len(found.raw)
            first = int(start) if start else max(0, size - int(end))
            last = min(int(end), size - 1) if start and end else size - 1
            headers["Content-Range"] = f"bytes {first}-{last}/{size}"
            self._answer(206, found.raw[first : last + 1], headers)

        do_HEAD = do_GET  # noqa: N815

        def do_PUT(self) -> None:
            """Write an object, a copy of one, or a part of an upload."""
            name, query = self._split()
            raw = self._body()
            if "uploadId" in query:
                bucket.uploads[query["uploadId"]][int(query["partNumber"])] = raw
                self._answer(200, b"", {"ETag": f'"{query["partNumber"]}"'})
                return
            if source := self.headers.get("x-goog-copy-source"):
                copied = bucket.objects.get(unquote(source).partition("/")[2])
                if copied is None:
                    self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
                    return
                raw = copied.raw
            stored = bucket.put(name, raw, self.headers.get("x-goog-if-generation-match"))
            if stored is None:
                self._answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
                return
            self._answer(
                200, b"", {"ETag": stored.e_tag, "x-goog-generation": str(stored.generation)}
            )

        def do_POST(self) -> None:
            """Begin an upload in parts, or put its parts together."""
            name, query = self._split()
            self._body()
            if "uploads" in query:
                upload = f"upload-{len(bucket.uploads)}"
                bucket.uploads[upload] = {}
                answer = ("InitiateMultipartUploadResult", {"UploadId": upload})
            else:
                parts = bucket.uploads[query["uploadId"]]
                stored = bucket.put(name, b"".join(parts[n] for n in sorted(parts)), None)
                assert stored is not None
                answer = ("CompleteMultipartUploadResult", {"ETag": stored.e_tag})
            root = ET.Element(answer[0])
            for tag, text in {"Bucket": bucket.name, "Key": name, **answer[1]}.items():
                ET.SubElement(root, tag).text = text
            self._answer(200, ET.tostring(root))

        def do_DELETE(self) -> None:
            """Remove an object."""
            name, _ = self._split()
            self._answer(204 if bucket.objects.pop(name, None) else 404, b"")

        def _list(self, query: dict[str, str]) -> None:
            with bucket.lock:
                names, folders, after = bucket.page(
                    query.get("prefix", ""),
                    query.get("delimiter", ""),
                    query.get("continuation-token") or query.get("start-after", ""),
                )
                root = ET.Element("ListBucketResult")
                for name in names:
                    entry = ET.SubElement(root, "Contents")
                    found = bucket.objects[name]
                    ET.SubElement(entry, "Key").text = name
                    ET.SubElement(entry, "Size").text = str(len(found.raw))
                    ET.SubElement(entry, "ETag").text = found.e_tag
                    ET.SubElement(entry, "LastModified").text = "2026-01-02T03:04:05.678Z"
            for folder in folders:
                ET.SubElement(ET.SubElement(root, "CommonPrefixes"), "Prefix").text = folder
            if after:
                ET.SubElement(root, "NextContinuationToken").text = after
            self._answer(200, ET.tostring(root))

        def _body(self) -> bytes:
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))

        def _answer(self, status: int, raw: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for key, value in {**(headers or {}), "Content-Length": str(len(raw))}.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(raw)

        def log_message(self, *args: Any) -> None:
            """Log nothing."""

    return Handler


@contextmanager
def gcs_server(name: str) -> Iterator[Bucket]:
    """Run a server with a bucket, with the variables that lead to it; yield the bucket."""
    bucket = Bucket(name)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(bucket))
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    key = {
        "gcs_base_url": f"http://127.0.0.1:{server.server_address[1]}",
        "disable_oauth": True,
        "client_email": "",
        "private_key": "",
        "private_key_id": "",
    }
    try:
        with pytest.MonkeyPatch.context() as patched:
            patched.setenv("GOOGLE_SERVICE_ACCOUNT_KEY", json.dumps(key))
            patched.setenv("GOOGLE_ALLOW_HTTP", "true")
            yield bucket
    finally:
        server.shutdown()
        server.server_close()
