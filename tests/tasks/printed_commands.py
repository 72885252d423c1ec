"""The command that a publication prints, run in this process."""

from __future__ import annotations

import contextlib
import io
import shlex

from assay.tasks.publish.opening import opening_command
from assay.tasks.publish.publish import PublishResult


def shown_by_command(result: PublishResult) -> str:
    """Return what the code in the printed command shows."""
    *_, code = shlex.split(opening_command(result.out, result.files, result.format))
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code, "printed", "exec"), {})
    return out.getvalue()
