"""Index of a lake's embeddings, kept on this machine; rows are only added.

One folder has three files: the graph with its vectors, the ids in the order of its keys, and
`state.json`, which names the other two. `state.json` is replaced last and atomically, so that it
names a matching pair even after a kill; files that it does not name are deleted.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from filelock import FileLock, Timeout

from ...data.cache import cache_folder
from ...data.errors import InputError, StoreError
from ...data.score_key import ScoreKey
from ...data.store.lake import Lake
from ...data.store.local_files import LocalStore
from ..embeddings.neighbours import Vectors, cosine_similarities
from ..embeddings.rows import distinct_batches, embedded
from .graph import (
    Recall,
    add_rows,
    empty_graph,
    measure_recall,
    read_graph,
    rows_in_file,
    search_graph,
    vectors_at,
)

FORMAT: Final = 1
STATE: Final = "state.json"
# Rows between two saves of a build: an interrupted one loses at most this work.
ROWS_A_SAVE: Final = 250_000
# Recall is measured when the index is made, and again after growth by this share.
MEASURE_AFTER_GROWTH: Final = 0.01
LOCK_TIMEOUT_S: Final = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _State:
    """Content of `state.json`: names and sizes of the two files, and the measured recall."""

    graph: str
    ids: str
    n_graph_bytes: int
    n_rows: int
    scores_version: int | None
    recall: Recall | None


class EmbeddingIndex:
    """Index for approximate search of the nearest embeddings, with its measured recall."""

    def __init__(self, graph: Any, ids: pl.Series, measured: Recall) -> None:
        self._graph = graph
        self.ids = ids
        self.recall = measured

    def __len__(self) -> int:
        return len(self.ids)

    def search(self, query_f32_d: Vectors, k: int) -> pl.DataFrame:
        """Return the nearest `k` or fewer: image_id and similarity (cosine), nearest first."""
        keys, cosines = search_graph(self._graph, query_f32_d, k)
        return pl.DataFrame({"image_id": self.ids[keys], "similarity": cosines})

    def vectors(self, image_ids: Sequence[str]) -> dict[str, Vectors]:
        """Return the embeddings of those images that the index has, each (D,), of unit length."""
        keys = self.ids.is_in(list(image_ids)).arg_true()
        rows = vectors_at(self._graph, keys.to_numpy().astype(np.int64))
        return dict(zip(self.ids[keys], rows, strict=True))

    def similarities(self, query_f32_d: Vectors, image_ids: Sequence[str]) -> dict[str, float]:
        """Return the cosines of the query with images; those without embedding are left out."""
        vectors = self.vectors(image_ids)
        if not vectors:
            return {}
        cosines = cosine_similarities(query_f32_d, np.stack(list(vectors.values())))
        return dict(zip(vectors, cosines.tolist(), strict=True))


def index_folder(lake: Lake, key: ScoreKey) -> Path:
    """Return the folder of the index of a lake's embeddings under a key, on this machine."""
    named = "\n".join([str(FORMAT), lake.uri, *astuple(key)])
    return cache_folder("similar", hashlib.sha256(named.encode()).hexdigest()[:32])


def remove_indexes(lake: Lake) -> None:
    """Remove the indexes of a lake on this machine; the next search makes them again.

    Args:
        lake: Lake of the embeddings.

    Raises:
        StoreError: The lake cannot be read.
    """
    keys = lake.scan("scores").select(ScoreKey.columns()).unique().collect()
    for row in keys.iter_rows(named=True):
        shutil.rmtree(index_folder(lake, ScoreKey(**row)), ignore_errors=True)


def open_index(
    lake: Lake,
    key: ScoreKey,
    *,
    folder: Path | None = None,
    rows_a_save: int = ROWS_A_SAVE,
    on_rows: Callable[[int], None] | None = None,
) -> EmbeddingIndex:
    """Open the index of all embeddings under a key, after adding and saving the new ones.

    The whole index is in memory while rows are added (about 1 kB per row of 384 numbers) and
    mapped from its file otherwise; the ids are always in memory (about 100 bytes each).

    Args:
        lake: Lake of the embeddings.
        key: Score key of the embeddings.
        folder: Folder of the index; default: one in the machine's cache.
        rows_a_save: Number of new rows after which a growing index is saved.
        on_rows: Function that receives the number of rows added since its last call.

    Raises:
        InputError: The lake has no embedding under this key.
        StoreError: The folder cannot be written, or another process has locked it for an hour.
    """
    folder = folder or index_folder(lake, key)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f"{folder.name}.lock"), timeout=LOCK_TIMEOUT_S):
            return _Keeper(folder, lake, key).refreshed(rows_a_save, on_rows)
    except Timeout as error:
        raise StoreError(
            f"another process has been writing to {folder} for {LOCK_TIMEOUT_S:.0f} s; wait for"
            " it or stop it"
        ) from error
    except OSError as error:
        raise StoreError(
            f"cannot write the index to {folder}: {error}; set ASSAY_CACHE to a folder with free"
            " space, or compare with every row: --exact"
        ) from error


class _Keeper:
    """Writer of one index folder, while this process holds its lock."""

    def __init__(self, folder: Path, lake: Lake, key: ScoreKey) -> None:
        self._folder = folder
        self._store = LocalStore(folder)
        self._version = lake.version("scores")
        self._rows = embedded(lake, key, self._version)

    def refreshed(self, rows_a_save: int, on_rows: Callable[[int], None] | None) -> EmbeddingIndex:
        state = self._state()
        ids = self._ids(state)
        stored = self._rows.select("image_id", "scored_at").collect()
        if not ids.is_in(stored["image_id"].implode()).all():
            # Images were forgotten, or this address has another lake now.
            state, ids = None, ids.clear()
        new = stored.join(ids.to_frame(), on="image_id", how="anti")
        if new.is_empty() and state is not None:
            self._sweep(state)
            graph = read_graph(self._folder / state.graph, view=True)
        elif new.is_empty():
            raise InputError("there is no embedding to index; score images first")
        else:
            graph, ids, state = self._extended(state, ids, new, rows_a_save, on_rows)
        measured = state.recall
        if measured is None or len(ids) > measured.n_rows * (1 + MEASURE_AFTER_GROWTH):
            measured = measure_recall(graph, ids, self._rows)
            self._write_state(dataclasses.replace(state, recall=measured))
        return EmbeddingIndex(graph, ids, measured)

    def _extended(
        self,
        state: _State | None,
        ids: pl.Series,
        new: pl.DataFrame,
        rows_a_save: int,
        on_rows: Callable[[int], None] | None,
    ) -> tuple[Any, pl.Series, _State]:
        graph = None if state is None else read_graph(self._folder / state.graph, view=False)
        measured = None if state is None else state.recall
        n_saved = len(ids)
        # The time only skips whole files; the ids decide which rows are new.
        since = self._rows.filter(pl.col("scored_at") >= new["scored_at"].min())
        for batch_ids, batch in distinct_batches(since, new["image_id"]):
            graph = empty_graph(batch.shape[1]) if graph is None else graph
            add_rows(graph, len(ids), batch)
            ids = pl.concat([ids, batch_ids])
            if on_rows is not None:
                on_rows(len(batch_ids))
            if len(ids) - n_saved >= rows_a_save:
                state, n_saved = self._save(graph, ids, measured), len(ids)
        if state is None or len(ids) > n_saved:
            state = self._save(graph, ids, measured)
        return graph, ids, state

    def _state(self) -> _State | None:
        """Return the saved state; None where there is none, or its files are damaged."""
        try:
            values = json.loads(self._store.read(STATE) or b"null")
            if values is None or values.pop("format") != FORMAT:
                return None
            measured = values.pop("recall")
            if measured is not None:
                at = {int(k): float(value) for k, value in measured.pop("at").items()}
                measured = Recall(at=at, **measured)
            state = _State(**values, recall=measured)
            graph = self._folder / state.graph
            is_whole = (
                graph.stat().st_size == state.n_graph_bytes
                and rows_in_file(graph) == state.n_rows
                and len(self._ids(state)) == state.n_rows
            )
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None
        return state if is_whole else None

    def _ids(self, state: _State | None) -> pl.Series:
        raw = b"" if state is None else (self._folder / state.ids).read_bytes()
        digits = raw.hex()
        listed = [digits[start : start + 64] for start in range(0, len(digits), 64)]
        return pl.Series("image_id", listed, dtype=pl.String)

    def _save(self, graph: Any, ids: pl.Series, measured: Recall | None) -> _State:
        token = secrets.token_hex(6)
        graph_file, ids_name = self._folder / f"graph-{token}.usearch", f"ids-{token}.bin"
        graph.save(graph_file)
        with graph_file.open("r+b") as written:
            os.fsync(written.fileno())
        with self._store.creating(ids_name) as out:
            out.write(bytes.fromhex("".join(ids)))
        state = _State(
            graph=graph_file.name,
            ids=ids_name,
            n_graph_bytes=graph_file.stat().st_size,
            n_rows=len(ids),
            scores_version=self._version,
            recall=measured,
        )
        self._write_state(state)
        self._sweep(state)
        return state

    def _write_state(self, state: _State) -> None:
        with self._store.creating(STATE) as out:
            out.write(json.dumps({"format": FORMAT, **asdict(state)}).encode())

    def _sweep(self, state: _State) -> None:
        """Delete files that a newer pair has replaced or that a killed process left unfinished."""
        for file in self._folder.iterdir():
            if file.name not in {state.graph, state.ids, STATE}:
                # Windows cannot delete files that another process has mapped; a later call does.
                with contextlib.suppress(OSError):
                    file.unlink()
