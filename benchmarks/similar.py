"""What the index of `assay similar` costs and finds, beside comparing with every row.

Embeddings are drawn in clusters, stored in a lake and searched through the very functions that
the command uses; scikit-learn's brute force says which neighbours are right.
"""

from __future__ import annotations

import argparse
import hashlib
import resource
import statistics
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
from sklearn.neighbors import NearestNeighbors

from assay.data.schema import TABLES
from assay.data.score_key import ScoreKey
from assay.data.store.lake import Lake
from assay.tasks.embeddings.neighbours import Vectors, smallest
from assay.tasks.similar.embedding_search import compare_with_all
from assay.tasks.similar.index import open_index

KEY = ScoreKey(detector="drawn@0", weights_sha256="0" * 64, profile="none", precision="fp32")
START = datetime(2026, 1, 1, tzinfo=UTC)
ROWS_A_COMMIT = 10_000


def clustered(n: int, width: int, *, n_clusters: int = 1000, n_factors: int = 32) -> Vectors:
    """Points around centres, with most of their spread in a few directions, as embeddings have."""
    rng = np.random.default_rng(0)
    factors = rng.standard_normal((n_factors, width)).astype(np.float32)
    centres = rng.standard_normal((n_clusters, n_factors)).astype(np.float32)
    own = centres[rng.integers(0, n_clusters, n)]
    own += 0.4 * rng.standard_normal((n, n_factors)).astype(np.float32)
    noise = 0.3 * rng.standard_normal((n, width)).astype(np.float32)
    return np.asarray(own @ factors + noise, np.float32)


def name(number: int) -> str:
    """Return an id in the form of an image's id."""
    return hashlib.sha256(str(number).encode()).hexdigest()


def store(lake: Lake, vectors: Vectors, first: int) -> None:
    """Commit scores with these embeddings."""
    for start in range(0, len(vectors), ROWS_A_COMMIT):
        part = vectors[start : start + ROWS_A_COMMIT]
        n = len(part)
        same = {
            "detector": KEY.detector,
            "weights_sha256": KEY.weights_sha256,
            "profile": KEY.profile,
            "backend": "none",
            "precision": KEY.precision,
            "status": "scored",
            "reason": None,
            "logit": 0.0,
            "prob_fake": 0.5,
            "run_id": "benchmark",
            "code_version": "0",
            "scored_at": START + timedelta(seconds=first + start),
        }
        columns = {key: [value] * n for key, value in same.items()}
        columns["image_id"] = [name(first + start + number) for number in range(n)]
        schema = TABLES["scores"]
        arrays = [
            pa.FixedSizeListArray.from_arrays(pa.array(part.ravel()), part.shape[1]).cast(
                pa.list_(pa.float32())
            )
            if field.name == "embedding"
            else pa.array(columns[field.name], field.type)
            for field in schema
        ]
        lake.append("scores", pa.Table.from_arrays(arrays, schema=schema), txn=f"{first + start}")


def peak_mb() -> float:
    """Peak resident memory of this process until now."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Print one line per measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--added", type=int, default=1000)
    parser.add_argument("--queries", type=int, default=50)
    arguments = parser.parse_args()
    n, n_queries, k = arguments.rows, arguments.queries, 10
    vectors = clustered(n + arguments.added + n_queries, arguments.width)
    stored, added, queries = np.split(vectors, [n, n + arguments.added])
    with tempfile.TemporaryDirectory() as scratch:
        lake, folder = Lake(Path(scratch) / "lake"), Path(scratch) / "index"
        store(lake, stored, 0)

        def opened(what: str) -> None:
            started_s = time.perf_counter()
            index = open_index(lake, KEY, folder=folder)
            took_s = time.perf_counter() - started_s
            print(f"{what:<34}{took_s:8.2f} s   {len(index):,} rows, recall {index.recall.at}")

        opened("build, with recall measured")
        store(lake, added, n)
        opened(f"add {arguments.added:,} rows")
        opened("open, nothing new")
        size_mb = sum(file.stat().st_size for file in folder.iterdir()) / 2**20
        print(f"{'index on disk':<34}{size_mb:8.0f} MB")

        index = open_index(lake, KEY, folder=folder)
        everything = np.concatenate([stored, added])
        brute = NearestNeighbors(n_neighbors=k, metric="cosine", algorithm="brute").fit(everything)
        right = [
            {name(int(row)) for row in rows}
            for rows in brute.kneighbors(queries, return_distance=False)
        ]

        def asked(what: str, found: list[set[str]], times_s: list[float]) -> None:
            share = statistics.mean(
                len(mine & true) / k for mine, true in zip(found, right, strict=True)
            )
            median_ms = 1000 * statistics.median(times_s)
            print(f"{what:<34}{median_ms:8.1f} ms  recall@{k} {share:.4f} against scikit-learn")

        found, times_s = [], []
        for query in queries:
            started_s = time.perf_counter()
            found.append(set(index.search(query, k)["image_id"]))
            times_s.append(time.perf_counter() - started_s)
        asked("query, by the index", found, times_s)

        found, times_s = [], []
        few = queries[: min(5, n_queries)]
        for query in few:
            started_s = time.perf_counter()
            rows = compare_with_all(lake, KEY, query)
            best = smallest(-rows["similarity"].to_numpy(), k)
            found.append(set(rows[best]["image_id"]))
            times_s.append(time.perf_counter() - started_s)
        right = right[: len(few)]
        asked("query, with every row of the lake", found, times_s)
        print(f"{'peak memory of all of this':<34}{peak_mb():8.0f} MB")


if __name__ == "__main__":
    main()
