"""A lake and a source on Azure's emulator, where `azurite-blob` is installed (npm)."""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac
import io
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import obstore
import pytest
from PIL import Image

from assay.data.sources.find import SourceOptions, find_items, read_item
from assay.data.store.lake import Lake
from assay.data.store.object_files import ObjectStore

AZURITE = shutil.which("azurite-blob")
# The key of every installation of the emulator, as its documentation gives it.
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
ACCOUNT = "devstoreaccount1"

pytestmark = pytest.mark.skipif(AZURITE is None, reason="azurite-blob is not installed")


@pytest.fixture(scope="module")
def container(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [str(AZURITE), "--silent", "--skipApiVersionCheck", "--disableTelemetry"]
    command += ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--inMemoryPersistence"]
    log = Path(tmp_path_factory.mktemp("azurite"))
    with (log / "log").open("wb") as out, pytest.MonkeyPatch.context() as patched:
        server = subprocess.Popen(command, stdout=out, stderr=out, cwd=log)
        try:
            patched.setenv("AZURE_STORAGE_USE_EMULATOR", "true")
            patched.setenv("AZURITE_BLOB_STORAGE_URL", url)
            make_container(url)
            yield "az://pictures"
        finally:
            server.terminate()
            server.wait(timeout=30)


def make_container(url: str) -> None:
    """Create the container by a signed request, which obstore has no call for."""
    deadline_s = time.monotonic() + 60
    while True:
        date = datetime.datetime.now(datetime.UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
        signed = "PUT" + "\n" * 12 + f"x-ms-date:{date}\nx-ms-version:2021-08-06\n"
        signed += f"/{ACCOUNT}/{ACCOUNT}/pictures\nrestype:container"
        mac = hmac.new(base64.b64decode(KEY), signed.encode(), hashlib.sha256).digest()
        headers = {
            "x-ms-date": date,
            "x-ms-version": "2021-08-06",
            "Authorization": f"SharedKey {ACCOUNT}:{base64.b64encode(mac).decode()}",
        }
        try:
            answer = httpx.put(f"{url}/{ACCOUNT}/pictures?restype=container", headers=headers)
            answer.raise_for_status()
        except httpx.HTTPError:
            if time.monotonic() > deadline_s:
                raise
            time.sleep(0.3)
        else:
            return


def review(image_id: str) -> dict[str, object]:
    return {
        "image_id": image_id,
        "label": "real",
        "reviewer": "ann",
        "note": None,
        "reviewed_at": datetime.datetime.now(datetime.UTC),
    }


def test_a_container_is_a_source(container):
    """An object with odd characters is listed, read, and known by its ETag."""
    file = io.BytesIO()
    Image.new("RGB", (16, 16)).save(file, "PNG")
    store = ObjectStore("az", "pictures", "", os.environ)
    obstore.put(store._store, "in/a b#1.png", file.getvalue())
    [item] = find_items([f"{container}/in"], SourceOptions())
    assert item.source_uri == "az://pictures/in/a%20b%231.png"
    assert read_item(item, SourceOptions()) == file.getvalue()


def test_writers_at_once_lose_and_double_nothing(container):
    """Four threads commit rows of their own, and one shared row once, without a lock."""
    lake = Lake(f"{container}/lake")

    def write(writer: int) -> bool:
        own = Lake(lake.uri, create=False)
        assert own.append("reviews", [review(str(writer))], txn=f"own-{writer}")
        return own.append("reviews", [review("shared")], txn="shared")

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(write, range(4))) == 1
    ids = lake.scan("reviews").collect()["image_id"].to_list()
    assert sorted(ids) == ["0", "1", "2", "3", "shared"]
