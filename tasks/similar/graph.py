"""Graph of usearch: construction, search, and recall against comparison with every row."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..embeddings.neighbours import Vectors, cosine_similarities, recall, smallest, unit_rows
from ..embeddings.rows import distinct_batches

N_MEASURED: Final = 200
RECALL_AT: Final = (10, 100)

# M, efConstruction and ef of Malkov and Yashunin 2018, "Efficient and robust approximate nearest
# neighbor search using Hierarchical Navigable Small World graphs".
_EF: Final = 128
_SETTINGS: Final[dict[str, Any]] = {
    "connectivity": 16,
    "expansion_add": 128,
    "expansion_search": _EF,
}

Keys = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recall:
    """Measured recall: `at` maps k to recall@k, for queries sampled at `n_rows` rows."""

    at: dict[int, float]
    n_queries: int
    n_rows: int

    def for_k(self, k: int) -> tuple[int, float]:
        """Return the smallest measured k that is `k` or more, else the largest, with its recall."""
        measured = sorted(self.at)
        nearest = next((n for n in measured if n >= k), measured[-1])
        return nearest, self.at[nearest]


def empty_graph(width: int) -> Any:
    """Return an empty usearch index for embeddings of a dimension, stored in half precision."""
    from usearch.index import Index

    return Index(ndim=width, metric="cos", dtype="f16", **_SETTINGS)


def read_graph(file: Path, *, view: bool) -> Any:
    """Read a graph from its file.

    Args:
        file: Path of the graph.
        view: Whether the file is mapped for searches only; else it is read into memory and can
            grow.
    """
    from usearch.index import Index

    return Index.restore(file, view=view, **_SETTINGS)


def rows_in_file(file: Path) -> int:
    """Return the number of rows in a graph's file; 0 where it is no graph."""
    from usearch.index import Index

    try:
        return int((Index.metadata(file) or {}).get("count_present", 0))
    except (RuntimeError, ValueError):
        return 0


def add_rows(graph: Any, first_key: int, vectors_f32_nd: Vectors) -> None:
    """Add rows to a graph under consecutive keys from `first_key`."""
    keys = np.arange(first_key, first_key + len(vectors_f32_nd), dtype=np.uint64)
    # One thread: usearch 2.26 loses rows when several threads add at once (its issue 735). With
    # two threads, up to 5 of 300 rows could not be found again by any query; with one, none.
    graph.add(keys, unit_rows(vectors_f32_nd), threads=1)


def search_graph(graph: Any, query_f32_d: Vectors, k: int) -> tuple[Keys, Vectors]:
    """Return keys and cosines of the nearest `k` or fewer rows that the graph finds, in order."""
    # The search keeps _EF candidates at least; all are compared exactly before the list is cut.
    count = min(max(k, _EF), len(graph))
    matches = graph.search(unit_rows(query_f32_d[None])[0], count, threads=1)
    keys = np.sort(matches.keys.astype(np.int64))
    cosines = cosine_similarities(query_f32_d, vectors_at(graph, keys))
    best = smallest(-cosines, k)
    return keys[best], cosines[best]


def vectors_at(graph: Any, keys: Keys) -> Vectors:
    """Return the rows of some keys, of unit length in half precision, shape (N, D)."""
    rows = graph.get(keys.astype(np.uint64), dtype="f32")
    return np.asarray(rows, dtype=np.float32).reshape(len(keys), graph.ndim)


def measure_recall(graph: Any, ids: pl.Series, rows: pl.LazyFrame) -> Recall:
    """Measure the recall at 10 and 100 of `N_MEASURED` random rows, against comparison with all.

    A query is not its own neighbour. The table is read once, one batch in memory at a time.

    Args:
        graph: Graph to measure.
        ids: Ids of its rows, in the order of its keys.
        rows: Rows of the table with their embeddings in full precision.
    """
    n_queries, depth = min(N_MEASURED, len(ids)), min(max(RECALL_AT), len(ids) - 1)
    keys = np.random.default_rng(0).choice(len(ids), n_queries, replace=False)
    queries = vectors_at(graph, keys)
    own = pl.DataFrame({"image_id": ids[keys], "query": np.arange(n_queries)})
    answers = pl.concat(
        [
            _found(graph, ids, query, number, int(key), depth)
            for number, (query, key) in enumerate(zip(queries, keys, strict=True))
        ]
    )
    found_similarity = np.full((n_queries, depth), np.nan, np.float32)
    true_similarity = np.full((n_queries, depth), -np.inf, np.float32)
    for batch_ids, batch in distinct_batches(rows, ids):
        cosines = np.clip(queries @ unit_rows(batch).T, -1, 1)
        at = batch_ids.to_frame().with_row_index("at")
        mine = own.join(at, on="image_id")
        cosines[mine["query"].to_numpy(), mine["at"].to_numpy()] = -np.inf
        hits = answers.join(at, on="image_id")
        query, place = hits["query"].to_numpy(), hits["place"].to_numpy()
        found_similarity[query, place] = cosines[query, hits["at"].to_numpy()]
        both = np.concatenate([true_similarity, cosines], axis=1)
        true_similarity = -np.partition(-both, range(depth), axis=1)[:, :depth]
    return Recall(
        at={k: recall(found_similarity[:, :k], true_similarity[:, :k]) for k in RECALL_AT},
        n_queries=n_queries,
        n_rows=len(ids),
    )


def _found(
    graph: Any, ids: pl.Series, query: Vectors, number: int, own_key: int, depth: int
) -> pl.DataFrame:
    keys, _ = search_graph(graph, query, depth + 1)
    keys = keys[keys != own_key][:depth]
    return pl.DataFrame(
        {
            "image_id": ids[keys],
            "query": np.full(len(keys), number, np.int64),
            "place": np.arange(len(keys)),
        }
    )
