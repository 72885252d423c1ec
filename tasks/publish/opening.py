"""The command that opens a published folder in Python."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from pathlib import Path


def opening_command(out: str) -> str:
    """Return a command that opens a published folder, as a shell reads it."""
    # Without an activated environment `python` is another one, or none.
    known = shutil.which("python")
    python = "python" if known and Path(known).samefile(sys.executable) else sys.executable
    code = f"import datasets; print(datasets.load_dataset({_literal(out)}))"
    # datasets takes these signs for patterns and finds nothing; Arrow takes none.
    if set("*?[]") & set(out):
        data = _literal(f"{out}/data")
        code = f"import pyarrow.dataset as d; print(d.dataset({data}).schema.names)"
    return shlex.join([python, "-c", code])


def _literal(text: str) -> str:
    """Return a text in Python, in double quotes where possible: a shell's are single ones."""
    return json.dumps(text, ensure_ascii=False) if text.isprintable() else repr(text)
