"""What the grid and the run view of the review page take in a lake of N images.

The lakes are those of `lake_size.py`, made from rows, with one more run over the whole lake and a
thousand answers of a reviewer. Requests go to the application in this process, without a network:
times are those of the server, from the request to the last byte of the answer.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import statistics
import tempfile
import time
from datetime import UTC, datetime
from html import unescape
from pathlib import Path

import polars as pl
from fastapi.testclient import TestClient
from lake_size import DETECTOR, SIZES, make_lake

from assay.data.store.lake import Lake
from assay.flows.judging import identity_of, policy_of
from assay.flows.request import Request
from assay.flows.review_page.app import review_app
from assay.flows.review_page.settings import PageSettings

WHOLE = "20260601T000000Z-whole"
N_LABELLED = 1_000
QUERIES = {
    "first page": "",
    "highest scores": "sort=highest",
    "nearest to 0.5": "sort=nearest",
    "flagged": "decision=flag&sort=lowest",
    "without a label": "label=none",
    "score range": "score_from=0.4&score_to=0.6",
    "text": "text=/123/45",
    "text without a match": "text=no+such+name",
    "240 images per page": "n=240",
}


def prepared(folder: Path, size: str) -> Lake:
    """Return the lake of a size, made if it is not there, with a run over all of it."""
    path = folder / f"lake-{size}"
    lake = (
        Lake(path)
        if path.exists()
        else make_lake(path, SIZES[size], is_sorted=True, is_coarse=True)
    )
    request = Request(lake=str(path), sources=(".",), detector=DETECTOR)
    detector = identity_of(request)
    policy = policy_of(request, detector)
    params = detector.key.as_row() | {
        "policy_id": policy.policy_id,
        "policy_rules": policy.as_dict(),
    }
    at = datetime(2026, 6, 1, tzinfo=UTC)
    row = {
        "run_id": WHOLE,
        "flow": "score",
        "status": "completed",
        "params": json.dumps(params),
        "config_sha256": "0" * 64,
        "code_version": "0.2.0",
        "started_at": at,
        "finished_at": at,
        "counts": "{}",
    }
    lake.append("runs", [row], txn="whole")
    return lake


def client_of(lake: Lake) -> TestClient:
    """Return a browser with a reviewer's name and a form token."""
    app = review_app(lake, PageSettings(secret=b"benchmark" * 4))
    client = TestClient(app, base_url="http://127.0.0.1:8787", headers={"Accept": "text/html"})

    def token(page: str) -> str:
        return re.findall(r'name="form-token" content="(\w+)"', page)[0]

    form = {"form_token": token(client.get("/name").text), "name": "bench", "after": "/runs"}
    client.post("/name", data=form)
    client.headers["X-Form-Token"] = token(client.get("/runs").text)
    return client


def seconds_until(client: TestClient, path: str) -> float:
    """Return the time until a page is there that waits for the lake to be read."""
    began_s = time.perf_counter()
    while "Reading the images" in client.get(path).text:
        time.sleep(0.05)
    return time.perf_counter() - began_s


def timed(client: TestClient, path: str, rounds: int) -> str:
    """Return median and highest time of a request in milliseconds, and the size of the answer."""
    spent = []
    for _ in range(rounds):
        began_s = time.perf_counter()
        answer = client.get(path)
        spent.append(1000 * (time.perf_counter() - began_s))
        if answer.status_code != 200:
            raise SystemExit(f"{path}: {answer.status_code} {answer.text[:200]}")
    return (
        f"{statistics.median(spent):7.1f} ms  most {max(spent):7.1f} ms  "
        f"{len(answer.content) / 1000:6.0f} kB"
    )


def memory_mb() -> float:
    """Return the highest resident memory of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def measure(lake: Lake, rounds: int) -> None:
    """Print the times of every kind of request."""
    client = client_of(lake)
    print(f"  before the first page: {memory_mb():.0f} MB")
    print(f"  the first page after the start: {seconds_until(client, '/grid'):.2f} s")
    for name, query in QUERIES.items():
        print(f"  grid, {name:22} {timed(client, f'/grid?{query}', rounds)}")
    page = client.get("/grid?sort=highest").text
    after = unescape(re.findall(r'rel="next" href="([^"]+)"', page)[0])
    print(f"  grid, {'the next page':22} {timed(client, after, rounds)}")
    print(f"  grid, {'2,000 ids':22} {timed(client, '/grid/ids?decision=flag', rounds)}")
    print(f"  after the grid: {memory_mb():.0f} MB")
    ids = client.get("/grid/ids?decision=flag").json()["image_ids"][:N_LABELLED]
    began_s = time.perf_counter()
    for start in range(0, len(ids), 200):
        given = [
            {"answer_id": f"{start + n:032x}", "image_id": image_id, "label": "fake"}
            for n, image_id in enumerate(ids[start : start + 200])
        ]
        answer = client.post("/answers", json={"reviewer": "bench", "answers": given})
        if len(answer.json()["recorded"]) != len(given):
            raise SystemExit(answer.text)
    print(f"  {len(ids):,} labels recorded: {time.perf_counter() - began_s:.2f} s")
    began_s = time.perf_counter()
    answer = client.get("/grid?label=fake")
    n = re.findall(r'data-n="(\d+)"', answer.text)[0]
    print(f"  the next grid page, with {n} labels: {time.perf_counter() - began_s:.2f} s")
    runs = lake.scan("runs").filter(pl.col("run_id") != WHOLE).select("run_id").head(1)
    print(f"  {'list of runs':28} {timed(client, '/runs', rounds)}")
    for name, run_id in (("run of 1,000", runs.collect().item()), ("run over the lake", WHOLE)):
        path = f"/runs/{run_id}"
        print(f"  {name}, first time: {seconds_until(client, path):.2f} s")
        print(f"  {name:28} {timed(client, path, rounds)}")
    print(f"  at the end: {memory_mb():.0f} MB")


def main() -> None:
    """Make the lakes and measure the views on each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=SIZES, default="100k")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--folder", type=Path, help="folder of the lakes, which is kept")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        lake = prepared(arguments.folder or Path(scratch), arguments.size)
        print(f"lake of {arguments.size}")
        measure(lake, arguments.rounds)


if __name__ == "__main__":
    main()
