"""Measurements of backends on this machine, their speed and drift, kept in the machine's cache.

Each checkpoint has one file per machine, number of cores and set of library versions, since any
of these may change both figures.
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
    """Measurement of one backend and precision on one machine.

    Attributes:
        backend: Backend as in `scores.backend`.
        precision: Precision as in `scores.precision`.
        images_per_second: Speed of the network alone, with one stream per core.
        drift: Drift from PyTorch in fp32; zero for the reference itself.
        pictures: Description of the images it was measured on.
        measured_at: Time in UTC, ISO 8601.
    """

    backend: str
    precision: str
    images_per_second: float
    drift: Drift
    pictures: str
    measured_at: str


def now() -> str:
    """Return the current time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def read_measured(weights_sha256: str) -> dict[tuple[str, str], Measured]:
    """Return a checkpoint's measurements on this machine by backend and precision; may be empty."""
    try:
        rows = json.loads(measurements_file(weights_sha256).read_text(encoding="utf-8"))
        measured = [Measured(**(row | {"drift": Drift(**row["drift"])})) for row in rows]
    except (OSError, ValueError, TypeError, KeyError):
        # The caller measures again.
        return {}
    return {(m.backend, m.precision): m for m in measured}


def keep_measured(weights_sha256: str, new: Measured) -> None:
    """Add or replace the measurement of one backend and precision.

    Where the cache cannot be written, the next run measures again.
    """
    known = read_measured(weights_sha256) | {(new.backend, new.precision): new}
    rows: list[dict[str, Any]] = [asdict(m) for m in known.values()]
    file = measurements_file(weights_sha256)
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        unfinished = file.with_suffix(f".{secrets.token_hex(4)}")
        unfinished.write_text(json.dumps(rows, indent=1), encoding="utf-8")
        os.replace(unfinished, file)  # noqa: PTH105


def drift_allowance(weights_sha256: str, precision: str) -> float | None:
    """Return the tolerance of a decision for a precision, in logits.

    Returns:
        Largest 99th percentile of the drift measured on this machine; 0 where scores are exact;
        None without a measurement.
    """
    if is_exact(precision):
        return 0.0
    known = [
        m.drift.p99 for m in read_measured(weights_sha256).values() if m.precision == precision
    ]
    return max(known, default=None)


def measurements_file(weights_sha256: str) -> Path:
    """Return the file with the measurements of a detector on this machine."""
    return cache_folder("measured", f"{weights_sha256[:16]}-{_machine()}.json")


def _machine() -> str:
    facts = [platform.machine(), _cpu(), str(n_cores())]
    facts += [f"{name} {version}" for name, version in package_versions().items()]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:12]


def _cpu() -> str:
    """Return the processor's model name, where the system has it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()
