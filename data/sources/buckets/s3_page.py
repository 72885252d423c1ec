"""One page of a listing of S3 with every key in it, requested and signed here.

obstore refuses a whole page that has a key with an empty, "." or ".." part. Such pages are rare, so
this asks for one page at a time over a new connection.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import random
import time
from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import quote, unquote_plus, urlsplit
from xml.etree import ElementTree as ET

from ...store.cloud_options import is_true
from .bucket import ObjectInfo

_TIMEOUT_S: Final = 60
_MAX_TRIES: Final = 6
_TRANSIENT: Final = frozenset({408, 429, 500, 502, 503, 504})
_EMPTY_SHA256: Final = hashlib.sha256(b"").hexdigest()


class Page(NamedTuple):
    """Objects of a page, in the order of keys, and whether more follow."""

    infos: list[ObjectInfo]
    is_last: bool


def can_ask(scheme: str, options: Mapping[str, str]) -> bool:
    """Return whether requests to a store can be signed here: S3 with keys, or a public bucket."""
    if scheme != "s3":
        return False
    return "aws_access_key_id" in options or is_true(options.get("aws_skip_signature", ""))


def page_of(bucket: str, options: Mapping[str, str], folder: str, after: str | None) -> Page:
    """Return a page of the objects below a folder, at most 1,000.

    Args:
        bucket: Name of the bucket.
        options: Settings by their object_store names; see `storage_options`.
        folder: Folder without "/" at the end; "" for the whole bucket.
        after: Key after which the page begins; None for the first page.

    Raises:
        OSError: The store cannot be reached, or refuses.
    """
    query = {"encoding-type": "url", "list-type": "2"}
    if folder:
        query["prefix"] = f"{folder}/"
    if after is not None:
        query["start-after"] = after
    root = ET.fromstring(_answer(bucket, options, query))  # noqa: S314 - the store of the user
    space = root.tag.partition("}")[0] + "}" if root.tag.startswith("{") else ""
    infos = [_info(entry, space) for entry in root.iter(f"{space}Contents")]
    return Page(infos, root.findtext(f"{space}IsTruncated") != "true" or not infos)


def _info(entry: ET.Element, space: str) -> ObjectInfo:
    n_bytes = int(entry.findtext(f"{space}Size") or 0)
    key = unquote_plus(entry.findtext(f"{space}Key") or "")
    # As in the listings of obstore, so that an object has one stamp.
    return ObjectInfo(key, n_bytes, f"{n_bytes}-{entry.findtext(f'{space}ETag')}")


def _answer(bucket: str, options: Mapping[str, str], query: Mapping[str, str]) -> bytes:
    import httpx  # needed for such pages only

    region = options.get("aws_region", "us-east-1")
    endpoint = options.get("aws_endpoint_url", f"https://s3.{region}.amazonaws.com").rstrip("/")
    path = f"{urlsplit(endpoint).path}/{_quoted(bucket)}"
    text = "&".join(f"{_quoted(name)}={_quoted(query[name])}" for name in sorted(query))
    url = f"{endpoint}/{_quoted(bucket)}?{text}"
    problem = ""
    for attempt in range(_MAX_TRIES):
        if attempt:
            time.sleep(random.uniform(0, 0.1 * 4**attempt))  # noqa: S311 - spreads requests
        headers = {"host": urlsplit(endpoint).netloc, "x-amz-content-sha256": _EMPTY_SHA256}
        if not is_true(options.get("aws_skip_signature", "")):
            headers |= signature(path, text, headers, options, datetime.datetime.now(datetime.UTC))
        try:
            answer = httpx.get(url, headers=headers, timeout=_TIMEOUT_S)
        except httpx.TransportError as error:
            problem = f"{type(error).__name__}: {error}"
            continue
        if answer.status_code == httpx.codes.OK:
            return answer.content
        problem = f"the store answered {answer.status_code} to a listing"
        if answer.status_code not in _TRANSIENT:
            break
    raise OSError(problem)


def signature(
    path: str,
    query: str,
    headers: Mapping[str, str],
    options: Mapping[str, str],
    now: datetime.datetime,
) -> dict[str, str]:
    """Return the headers that sign a GET request without a body, by AWS Signature Version 4.

    Args:
        path: Path of the URL, percent-encoded.
        query: Query of the URL, percent-encoded and sorted by name.
        headers: Headers to sign, with names in lower case.
        options: Keys and region by their object_store names.
        now: Time of the request, in UTC.
    """
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    scope = f"{stamp[:8]}/{options.get('aws_region', 'us-east-1')}/s3/aws4_request"
    added = {"x-amz-date": stamp}
    if token := options.get("aws_session_token"):
        added["x-amz-security-token"] = token
    signed = dict(sorted({**headers, **added}.items()))
    names = ";".join(signed)
    lines = "".join(f"{name}:{value.strip()}\n" for name, value in signed.items())
    request = "\n".join(("GET", path, query, lines, names, _EMPTY_SHA256))
    digest = hashlib.sha256(request.encode()).hexdigest()
    key = f"AWS4{options['aws_secret_access_key']}".encode()
    for part in scope.split("/"):
        key = _mac(key, part)
    mark = _mac(key, f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}").hex()
    added["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={options['aws_access_key_id']}/{scope},"
        f"SignedHeaders={names},Signature={mark}"
    )
    return added


def _mac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def _quoted(text: str) -> str:
    return quote(text, safe="-_.~")
