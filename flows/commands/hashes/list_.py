"""`assay hashes list`: the lists of known hashes of a lake."""

from __future__ import annotations

import json

from ...process.terminal import width_of_stdout
from ..options import AsJson, LakeUri, open_lake


def list_(*, lake: LakeUri = None, json_: AsJson = False) -> None:
    """List the lists of known hashes: name, hashes, those that flag, last addition.

    Args:
        lake: Folder of the lake, or its s3:// prefix.
        json_: One JSON object on stdout.
    """
    from ....tasks.browse.table_text import Column, draw_table
    from ....tasks.hashes.known_hashes import lists_of

    opened = open_lake(lake)
    found = lists_of(opened)
    if json_:
        print(json.dumps({"lake": opened.uri, "lists": json.loads(found.write_json())}))  # noqa: T201
        return
    columns = [
        Column(name="list"),
        Column(name="hashes"),
        Column(name="flag"),
        Column(name="added", hide=1),
    ]
    rows = [
        [
            row["list_name"],
            f"{row['n_hashes']:,}",
            f"{row['n_flag']:,}",
            f"{row['added_at']:%Y-%m-%d %H:%M}",
        ]
        for row in found.iter_rows(named=True)
    ]
    print(draw_table(columns, rows, width=width_of_stdout()) if rows else "no known hashes")  # noqa: T201
