"""How often a run of the command opens each file, counted by Python's own audit events."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter

_PROBE = """
import collections, json, os, sys
opened = collections.Counter()
def count(event, args):
    if event == "open" and isinstance(args[0], str) and args[2] & os.O_ACCMODE == os.O_RDONLY:
        opened[os.path.basename(args[0])] += 1
sys.addaudithook(count)
from assay.flows.cli import main
main(sys.argv[1:])
print(json.dumps(opened))
"""


def opened_by(*arguments: str) -> Counter[str]:
    """Return how often `assay` with these arguments opened files for reading, by file name."""
    done = subprocess.run(
        [sys.executable, "-c", _PROBE, *arguments],
        env=os.environ | {"OMP_WAIT_POLICY": "PASSIVE"},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return Counter(json.loads(done.stdout.splitlines()[-1]))
