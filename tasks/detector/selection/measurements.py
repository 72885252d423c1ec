"""What was measured of backends on this machine: rates and drift, kept in its cache.

A file for each checkpoint and machine; new library versions or cores make another file, since
either may change both figures.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import secrets
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ....data.cache import cache_folder
from ....data.machine import n_cores
from ....data.package_versions import package_versions
from .drift import Drift, is_exact


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One backend and precision against fp32 PyTorch on one machine.

    Attributes:
        backend: As in `scores.backend`.
        precision: As in `scores.precision`.
        images_per_second: Of the network alone, in as many streams as there are cores.
        drift: From the reference; zero for the reference itself.
        pictures: What it was measured on, in words.
        measured_at: UTC, ISO 8601.
    """

    backend: str
    precision: str
    images_per_second: float
    drift: Drift
    pictures: str
    measured_at: str


def now() -> str:
    """UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def read_measured(weights_sha256: str) -> dict[tuple[str, str], Measured]:
    """What is known of a checkpoint here, by backend and precision; empty when nothing is."""
    try:
        rows = json.loads(_file(weights_sha256).read_text(encoding="utf-8"))
        found = [Measured(**(row | {"drift": Drift(**row["drift"])})) for row in rows]
    except (OSError, ValueError, TypeError, KeyError):
        # It can be measured again.
        return {}
    return {(one.backend, one.precision): one for one in found}


def keep_measured(weights_sha256: str, new: Measured) -> None:
    """Add or replace what is known of one backend and precision.

    A cache that cannot be written keeps nothing: it is measured again next time.
    """
    known = read_measured(weights_sha256) | {(new.backend, new.precision): new}
    rows: list[dict[str, Any]] = [asdict(one) for one in known.values()]
    file = _file(weights_sha256)
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        unfinished = file.with_suffix(f".{secrets.token_hex(4)}")
        unfinished.write_text(json.dumps(rows, indent=1), encoding="utf-8")
        os.replace(unfinished, file)  # noqa: PTH105


def drift_allowance(weights_sha256: str, precision: str) -> float | None:
    """By how much of a logit a decision must allow for a precision: its worst 99th percentile here.

    0 where scores are exact; None where nothing was measured on this machine.
    """
    if is_exact(precision):
        return 0.0
    known = [
        one.drift.p99
        for one in read_measured(weights_sha256).values()
        if one.precision == precision
    ]
    return max(known, default=None)


def _file(weights_sha256: str) -> Path:
    return cache_folder("measured", f"{weights_sha256[:16]}-{_machine()}.json")


def _machine() -> str:
    facts = [platform.machine(), _cpu(), str(n_cores())]
    facts += [f"{name} {version}" for name, version in package_versions().items()]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:12]


def _cpu() -> str:
    """The processor's model name where the system tells it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()
