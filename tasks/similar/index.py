"""An index of a lake's embeddings, kept on this machine and only ever added to.

Three files in one folder: the graph with its vectors, the ids in the order of its keys, and
`state.json`, which names the other two. It is replaced last and in one step: whatever is
killed when, it names a pair that belongs together, and what it does not name is swept away.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import secrets
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
from .embeddings import distinct_batches, embedded
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
from .neighbours import Vectors, cosine_similarities

FORMAT: Final = 1
STATE: Final = "state.json"
# A first build that is interrupted loses at most the work on so many rows.
ROWS_A_SAVE: Final = 250_000
# Recall is measured when the index is made, and again when it has grown by this share.
MEASURE_AFTER_GROWTH: Final = 0.01
LOCK_TIMEOUT_S: Final = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _State:
    """What `state.json` says: names of two files, and what is in them."""

    graph: str
    ids: str
    n_graph_bytes: int
    n_rows: int
    scores_version: int | None
    recall: Recall | None


class EmbeddingIndex:
    """An index to ask: approximately the nearest embeddings, at a recall that was measured."""

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
        """Return embeddings of some images at length 1, each of shape (D,), if they are known."""
        keys = self.ids.is_in(list(image_ids)).arg_true()
        rows = vectors_at(self._graph, keys.to_numpy().astype(np.int64))
        return dict(zip(self.ids[keys], rows, strict=True))

    def similarities(self, query_f32_d: Vectors, image_ids: Sequence[str]) -> dict[str, float]:
        """Return cosines of the query with some images; those without an embedding are missing."""
        vectors = self.vectors(image_ids)
        if not vectors:
            return {}
        cosines = cosine_similarities(query_f32_d, np.stack(list(vectors.values())))
        return dict(zip(vectors, cosines.tolist(), strict=True))


def index_folder(lake: Lake, key: ScoreKey) -> Path:
    """Return where this machine keeps the index of a lake's embeddings of one key."""
    named = "\n".join([str(FORMAT), lake.uri, *astuple(key)])
    return cache_folder("similar", hashlib.sha256(named.encode()).hexdigest()[:32])


def open_index(
    lake: Lake,
    key: ScoreKey,
    *,
    folder: Path | None = None,
    rows_a_save: int = ROWS_A_SAVE,
    on_rows: Callable[[int], None] | None = None,
) -> EmbeddingIndex:
    """Open the index of all embeddings of a key, after what is new was added to it and saved.

    Memory: all of it (about 1 kB a row of 384 numbers) while rows are added, else it is
    mapped from its file; the ids are always held, some 100 bytes each.

    Args:
        lake: Lake of the embeddings.
        key: Which of them.
        folder: Folder of the index; by default in the machine's cache.
        rows_a_save: New rows after which the index is saved while it is built.
        on_rows: Called with the number of rows added since the last call.

    Raises:
        InputError: There is no embedding of this key.
        StoreError: The folder cannot be written, or another process has held it for an hour.
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
            f"cannot keep the index in {folder}: {error}; set ASSAY_CACHE to a folder with room,"
            " or compare with every row: --exact"
        ) from error


class _Keeper:
    """The folder of one index, while this process holds its lock."""

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
            # Nothing is ever taken out of a lake: at this address there is another one now.
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
        # The time lets whole files be skipped; which rows are new, their ids alone decide.
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
        """Return what there is to go on from; None where there is nothing, or it is damaged."""
        try:
            said = json.loads(self._store.read(STATE) or b"null")
            if said is None or said.pop("format") != FORMAT:
                return None
            measured = said.pop("recall")
            if measured is not None:
                at = {int(k): float(value) for k, value in measured.pop("at").items()}
                measured = Recall(at=at, **measured)
            state = _State(**said, recall=measured)
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
        """Remove what a newer pair has replaced, and what a killed process left unfinished."""
        for file in self._folder.iterdir():
            if file.name not in {state.graph, state.ids, STATE}:
                # Windows keeps files that somebody has mapped; a later call sweeps them.
                with contextlib.suppress(OSError):
                    file.unlink()
