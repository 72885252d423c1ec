"""`assay query`: SQL over the tables of a lake."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

from cyclopts import Parameter
from cyclopts.validators import Number

from ....data.text.wording import counted
from ...process.terminal import width_of_stdout
from ..options import AsJson, DryRun, Flag, LakeUri, open_settled, print_effects

if TYPE_CHECKING:
    import polars as pl

    from ....tasks.browse.row_file import Format


def query(
    sql: str | None = None,
    /,
    *,
    lake: LakeUri = None,
    format_: Annotated[
        Literal["table", "csv", "parquet", "jsonl"] | None, Parameter("--format")
    ] = None,
    to: Path | None = None,
    overwrite: Annotated[bool, Flag] = False,
    limit: Annotated[int, Parameter(validator=Number(gte=1))] = 50,
    tables: Annotated[bool, Flag] = False,
    json_: AsJson = False,
    dry_run: DryRun = False,
) -> None:
    """Run a SELECT statement over the tables of the lake; it cannot read files.

    Args:
        sql: SELECT statement in polars' SQL, such as "select decision, count(*) from current
            group by decision".
        lake: Folder of the lake, or its s3:// prefix.
        format_: Format of the rows [default: by the suffix of the file, else a table].
        to: File to write [default: stdout].
        overwrite: Replacement of an existing file.
        limit: Maximum number of rows in a table; other formats have all rows.
        tables: List of tables with columns, types and descriptions.
        json_: One JSON object on stdout.
        dry_run: Number of rows that would be written to the file; nothing is changed.
    """
    from ....data.user_paths import from_home
    from ....tasks.browse.query import query as rows_of
    from ....tasks.browse.query import telling
    from ....tasks.browse.query_text import draw_rows, draw_tables, tables_json
    from ....tasks.browse.row_file import require_row_file, write_rows

    width = width_of_stdout()
    if tables:
        print(json.dumps(tables_json()) if json_ else draw_tables(width=width))  # noqa: T201
        return
    sql = _require_sql(sql)
    to = None if to is None else from_home(to)
    kind = _kind(format_, to, as_json=json_)
    if to is not None:
        require_row_file(to, overwrite=overwrite)
    opened = open_settled(lake, dry_run=dry_run)
    rows = rows_of(opened, sql)
    with telling(opened, sql):
        if dry_run and to is not None:
            from ...dry_run.datasets import query_effects

            print_effects(query_effects(opened, _count(rows), to), as_json=json_)
        elif to is not None and kind is not None:
            n_rows = write_rows(to, rows.collect_batches(), rows.collect_schema(), kind=kind)
            made = {"file": str(to.absolute()), "format": kind, "rows": n_rows}
            text = f"written     {made['file']}: {counted(n_rows, 'row')}"
            print(json.dumps({"lake": opened.uri, **made}) if json_ else text)  # noqa: T201
        elif kind is not None:
            _print_rows(rows, kind)
        elif json_:
            all_rows = json.loads(rows.collect().write_json())
            print(json.dumps({"lake": opened.uri, "total": len(all_rows), "rows": all_rows}))  # noqa: T201
        else:
            # A row more than is shown tells whether there are more to count.
            shown = rows.head(limit + 1).collect()
            n_rows = shown.height if shown.height <= limit else _count(rows)
            print(draw_rows(shown.head(limit), n_rows, width=width))  # noqa: T201


def _require_sql(sql: str | None) -> str:
    from ....data.errors import ConfigError

    if sql is None:
        raise ConfigError("no SQL is given; give a SELECT statement, or --tables")
    return sql


def _kind(named: str | None, to: Path | None, *, as_json: bool) -> Format | None:
    """Return the format of data; None for a table or a JSON object on stdout."""
    from ....data.errors import ConfigError
    from ....tasks.browse.row_file import format_of

    if to is None:
        if as_json and named is not None:
            raise ConfigError(f"--json and --format {named} exclude each other without --to")
        if named == "parquet":
            raise ConfigError("--format parquet needs a file; add --to FILE")
        return None if named in {None, "table"} else cast("Format", named)
    if named == "table":
        raise ConfigError(
            "--format table is for stdout; choose csv, parquet or jsonl, or omit --to"
        )
    return format_of(to) if named is None else cast("Format", named)


def _count(rows: pl.LazyFrame) -> int:
    import polars as pl

    return int(rows.select(pl.len()).collect().item())


def _print_rows(rows: pl.LazyFrame, kind: Format) -> None:
    """Print rows as CSV or JSON lines, batch by batch."""
    from ....tasks.browse.row_file import writing

    buffer = io.BytesIO()
    with writing(buffer, rows.collect_schema(), kind) as add:
        for frame in rows.collect_batches():
            add(frame)
            sys.stdout.write(buffer.getvalue().decode())
            buffer.seek(0)
            buffer.truncate()
    sys.stdout.write(buffer.getvalue().decode())
