"""Functions of the pages' scripts, called in Node.js."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from assay.tasks.pages import scripts
from assay.tasks.report import page

NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="needs node")
_OWN = Path(page.__file__).parent / "script"
_MODULES = (
    *(scripts.SHARED / f"{name}.js" for name in ("names", "columns", "recount")),
    *(_OWN / f"{name}.js" for name in ("slider", "rows")),
)
_END = "})();\n"


def called(body: str, given: Any) -> Any:
    """Return what an async function body returns in the scope of the modules.

    Args:
        body: Body in JavaScript, with the argument `given`.
        given: Argument, as values for JSON.
    """
    text = scripts.joined(*_MODULES).text
    assert text.endswith(_END)
    run = (
        "\nconst given = JSON.parse(require('fs').readFileSync(0, 'utf8'));\n"
        f"(async () => {{ {body} }})()"
        ".then((found) => process.stdout.write(JSON.stringify(found)));\n"
    )
    assert NODE is not None
    done = subprocess.run(
        [NODE, "-e", text.removesuffix(_END) + run + _END],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
