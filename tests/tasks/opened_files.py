"""How often a run of the command opens each file, counted by Python's own audit events."""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path

from processes import forked


def opened_by(*arguments: str) -> Counter[str]:
    """Return how often `assay` with these arguments opened files for reading, by file name."""
    return forked(_opened, *arguments)


def _opened(*arguments: str) -> Counter[str]:
    from assay.flows.cli import main

    opened: Counter[str] = Counter()

    def count(event: str, args: tuple[object, ...]) -> None:
        if event == "open" and isinstance(args[0], str) and args[2] & os.O_ACCMODE == os.O_RDONLY:
            opened[Path(args[0]).name] += 1

    sys.addaudithook(count)
    main(list(arguments))
    return opened
