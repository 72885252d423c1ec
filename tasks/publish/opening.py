"""The command that opens a published dataset in Python."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from .data_files.formats import Format


def opening_command(out: str, files: Sequence[str], format: Format = "hf") -> str:  # noqa: A002
    """Return a shell command that opens a published dataset.

    Args:
        out: Folder of the dataset, or its address in an object store.
        files: Data files, relative to `out`.
        format: Format of the data files.
    """
    # Without an activated environment, `python` is another interpreter, or none.
    known = shutil.which("python")
    python = "python" if known and Path(known).samefile(sys.executable) else sys.executable
    file = _literal(f"{out}/{files[0]}") if files else '""'
    if "://" in out:
        if format == "webdataset":
            code = (
                "import io, tarfile, obstore.store;"
                f" raw = obstore.store.from_url({_literal(out)}).get({_literal(files[0])}).bytes();"
                " tarfile.open(fileobj=io.BytesIO(raw)).list(verbose=False)"
            )
        else:
            code = f"import polars; print(polars.scan_parquet({file}).collect_schema())"
        return shlex.join([python, "-c", code])
    if format == "parquet":
        # Without patterns, since the folder may have brackets in its name.
        code = f"import polars; print(polars.scan_parquet({file}, glob=False).collect_schema())"
        return shlex.join([python, "-c", code])
    if format == "webdataset":
        code = f"import tarfile; tarfile.open({file}).list(verbose=False)"
        return shlex.join([python, "-c", code])
    code = f"import datasets; print(datasets.load_dataset({_literal(out)}))"
    # datasets reads these characters as patterns and finds nothing; Arrow knows no patterns.
    if set("*?[]") & set(out):
        data = _literal(f"{out}/data")
        code = f"import pyarrow.dataset as d; print(d.dataset({data}).schema.names)"
    return shlex.join([python, "-c", code])


def _literal(text: str) -> str:
    """Return a Python literal, in double quotes if possible, since the shell uses single ones."""
    return json.dumps(text, ensure_ascii=False) if text.isprintable() else repr(text)
