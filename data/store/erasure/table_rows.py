"""Tables without the rows about forgotten images, in the current version and in older ones.

The current version gets new files by a commit. A file of older versions is part of each version
that names it, so it is written again under its name, without the rows: these versions stay
readable, and their size and hash in the log and in the name are explained by a mark in the file.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator, Sequence
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import Transaction
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.transaction import AddAction

from ...errors import CommitConflict
from ..damage import Listed
from ..files import Store, cannot, write_whole
from ..parquet_reader import ParquetReader, open_parquet
from ..table_files import encode_groups
from ..table_log import FORGET
from ..tables import FOLDER, Tables
from ..upkeep.rewrite import add_action, rewrite, write_file
from ..upkeep.table_repair import files_of


def shards_of(store: Store, image_ids: Collection[str]) -> dict[str, set[str]]:
    """Return the shards that rows about images name, by image, in all versions of `images`.

    Args:
        store: Store of the lake.
        image_ids: Ids of the images.

    Raises:
        StoreError: A file cannot be read.
    """
    wanted = pa.array(sorted(image_ids), pa.string())
    found: dict[str, set[str]] = {}
    for file in store.files(f"{FOLDER}/images"):
        if not file.name.endswith(".parquet"):
            continue
        try:
            rows = rows_about(store, file.name, wanted, ["image_id", "shard"])
        except FileNotFoundError:
            continue  # a vacuum has just removed it
        except (OSError, pa.ArrowException) as error:
            raise cannot("read", store.path(file.name), error) from error
        for image_id, shard in zip(*(column.to_pylist() for column in rows.columns), strict=True):
            found.setdefault(image_id, set()).add(shard)
    return found


def rows_about(
    store: Store, name: str, image_ids: pa.Array, columns: Sequence[str] = ("image_id",)
) -> pa.Table:
    """Return columns of the rows of a data file about some images, reading little of it.

    Args:
        store: Store of the lake.
        name: Path of the file below the lake.
        image_ids: Ids of the images, sorted.
        columns: Names of the columns, `image_id` among them.

    Raises:
        OSError: The file is missing or cannot be read.
        ArrowInvalid: The file cannot be decoded.
    """
    with open_parquet(store, name) as file:
        at = file.schema.get_field_index("image_id")
        found = [file.schema.empty_table().select(list(columns))]
        for number in range(file.metadata.num_row_groups):
            bounds = file.metadata.row_group(number).column(at).statistics
            if bounds is not None and bounds.has_min_max:
                may_have = pc.and_(
                    pc.greater_equal(image_ids, bounds.min), pc.less_equal(image_ids, bounds.max)
                )
                if not pc.any(may_have).as_py():
                    continue
            ids = file.group(number, ["image_id"]).column("image_id")
            is_about = pc.is_in(ids, image_ids)
            if pc.any(is_about).as_py():
                rows = file.group(number, columns)
                found.append(rows.filter(is_about))
    return pa.concat_tables(found)


def remove_rows(store: Store, tables: Tables, table: str, image_ids: Collection[str]) -> int:
    """Remove the rows about images from the current version of a table, and return their number.

    Writers with rows that they computed from an earlier version must compute them again.

    Args:
        store: Store of the lake.
        tables: Tables of the lake.
        table: Name of a table with a column `image_id`.
        image_ids: Ids of the images.

    Raises:
        CommitConflict: Another writer was faster.
        StoreError: The table cannot be read or written.
    """
    wanted = pa.array(sorted(image_ids), pa.string())
    base = tables.open(table)
    if base is None:
        return 0
    remove: list[str] = []
    add: list[AddAction] = []
    n_rows = 0
    try:
        for listed in files_of(table, base):
            if n := rows_about(store, listed.name, wanted).num_rows:
                n_rows += n
                remove.append(PurePosixPath(listed.name).name)
                add += _rest(store, table, listed, wanted)
        if remove:
            exclusive = Transaction(tables.exclusive, base.version() + 1)
            rewrite(tables, table, base, remove=remove, add=add, purpose=FORGET, txns=[exclusive])
    except CommitFailedError as error:
        for action in add:
            store.delete(f"{FOLDER}/{table}/{action.path}")
        raise CommitConflict(
            f"another writer has changed {store.path(f'{FOLDER}/{table}')} at the same moment;"
            " run again with fewer writers at once"
        ) from error
    except (DeltaError, OSError, pa.ArrowException) as error:
        raise cannot("remove rows from", store.path(f"{FOLDER}/{table}"), error) from error
    return n_rows


def redact_older_files(
    store: Store, tables: Tables, table: str, image_ids: Collection[str]
) -> list[str]:
    """Remove the rows about images from the files of a table that its current version has not.

    Args:
        store: Store of the lake.
        tables: Tables of the lake.
        table: Name of a table with a column `image_id`.
        image_ids: Ids of the images.

    Returns:
        Names of the files that were written again, below the lake.

    Raises:
        StoreError: A file cannot be read or written.
    """
    wanted = pa.array(sorted(image_ids), pa.string())
    base = tables.open(table)
    current = set() if base is None else {file.name for file in files_of(table, base)}
    done = []
    for file in store.files(f"{FOLDER}/{table}"):
        if not file.name.endswith(".parquet") or file.name in current:
            continue
        try:
            if not rows_about(store, file.name, wanted).num_rows:
                continue
            raw = store.read(file.name)
        except FileNotFoundError:
            continue  # a vacuum has just removed it
        except (OSError, pa.ArrowException) as error:
            raise cannot("read", store.path(file.name), error) from error
        if raw is not None:
            write_whole(store, file.name, _redacted(raw, wanted))
            done.append(file.name)
    return done


def _rest(store: Store, table: str, file: Listed, wanted: pa.Array) -> list[AddAction]:
    """Write the rows of a data file about other images to a new file; none if there are none."""
    with open_parquet(store, file.name) as old:
        new = encode_groups(old.schema, _kept(old, wanted))
    if not pq.read_metadata(io.BytesIO(new.raw)).num_rows:
        return []
    write_file(store, table, new)
    return [add_action(new.name, len(new.raw), new.stats, is_new=False)]


def _redacted(raw: bytes, wanted: pa.Array) -> bytes:
    file = ParquetReader(raw)
    return encode_groups(file.schema, _kept(file, wanted), redacted=True).raw


def _kept(file: ParquetReader, wanted: pa.Array) -> Iterator[pa.Table]:
    """Yield the rows of each row group about other images than some."""
    for rows in file.groups():
        kept = rows.filter(pc.invert(pc.is_in(rows.column("image_id"), wanted)))
        if kept.num_rows:
            yield kept
