"""`assay doctor`: checks of the installation, with the remedy for each failure."""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import platform
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ...data.commands import command
from ...data.errors import AssayError, ModelError, StoreError, UntrustedWeights
from ...data.machine import n_cores
from ...data.package_versions import PACKAGES
from ...data.text.redaction import redact_url
from ...data.text.wording import counted
from ...version import __version__
from ..process.offline import offline

LISTED = (*PACKAGES, "polars", "deltalake")
OPTIONAL = {
    "c2pa": ("c2pa-python", "reads C2PA manifests", "assay[c2pa]"),
    "IPython": ("ipython", "magics in notebooks", "assay[notebook]"),
    "anywidget": ("anywidget", "assay.review in notebooks", "assay[notebook]"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Result of one check; `broken` prevents runs, `missing` limits features."""

    name: str
    status: Literal["ok", "missing", "broken"]
    found: str

    def to_json(self) -> dict[str, str]:
        """Return the check as plain values."""
        return {"name": self.name, "status": self.status, "found": self.found}


def examine(lake: str | None) -> list[Check]:
    """Check versions, devices, detectors, the lake, Prefect and the optional packages."""
    checks = [
        _guarded("assay", lambda: f"{__version__}, Python {platform.python_version()}"),
        _guarded("machine", _machine),
        *(_guarded(name, functools.partial(importlib.metadata.version, name)) for name in LISTED),
        _guarded("device", _device),
        _guarded("detector mini", _mini, if_not="broken"),
        _guarded("detector community-forensics", _real_weights, if_not="missing"),
        _guarded("lake", lambda: _lake(lake)),
        _guarded("prefect", _prefect),
    ]
    for module, (package, what, extra) in OPTIONAL.items():
        there = importlib.util.find_spec(module) is not None
        checks.append(
            Check(
                name=package,
                status="ok" if there else "missing",
                found=importlib.metadata.version(package)
                if there
                else f"{what}: pip install '{extra}'",
            )
        )
    return checks


def draw(checks: list[Check]) -> str:
    """Return one line per check; the status is a word, so that it does not depend on colour."""
    width = max(len(check.name) for check in checks)
    return "\n".join(f"{check.status:<8}{check.name:<{width}}  {check.found}" for check in checks)


def _guarded(
    name: str,
    look: Callable[[], str],
    *,
    if_not: Literal["missing", "broken"] = "broken",
) -> Check:
    """Return the result of one check; a failure becomes a status, so that others still run."""
    try:
        return Check(name=name, status="ok", found=look())
    except (AssayError, ImportError, OSError, RuntimeError) as error:
        return Check(name=name, status=if_not, found=" ".join(str(error).split()))


def _machine() -> str:
    free_gb = shutil.disk_usage(Path.cwd()).free / 1e9
    return (
        f"{platform.system()} {platform.machine()}, {counted(n_cores(), 'core')}, "
        f"{free_gb:.0f} GB free here"
    )


def _device() -> str:
    from ...tasks.detector.backends.devices import describe_devices

    return describe_devices()


def _mini() -> str:
    from ...tasks.detector.load import load_detector

    started_s = time.perf_counter()
    detector = load_detector("mini")
    loaded = f"{detector.detector_id} on {detector.backend}, loaded in"
    return f"{loaded} {time.perf_counter() - started_s:.1f} s: {detector.why}"


def _real_weights() -> str:
    from ...tasks.detector.load import identify

    try:
        with offline():  # a check must not start a download of 87 MB
            return identify("community-forensics").detector_id
    except UntrustedWeights:
        raise
    except ModelError as error:
        raise ModelError(
            "not on this machine: the first run downloads 87 MB; without a network, copy the "
            "checkpoint to this machine and pass --detector FOLDER"
        ) from error


def _lake(lake: str | None) -> str:
    from ...data.store.lake import Lake
    from ...tasks.lake.check import check
    from ..settings.resolve import default_lake

    uri = lake or default_lake()
    if lake is None and "://" not in uri and not Path(uri).exists():
        with tempfile.TemporaryDirectory() as folder:
            Lake(Path(folder) / "lake")
        return f"none at {uri}; a new one can be created"
    opened = Lake(uri, create=False)
    health = check(opened)
    if health.damage:
        first = health.damage[0]
        raise StoreError(
            f"{opened.uri}: {first.where} {first.problem}; {len(health.damage)} damaged in total;"
            f" run {command('lake', 'check', lake=opened.uri)}"
        )
    rows = ", ".join(f"{name} {n:,}" for name, n in health.rows.items() if n)
    return (
        f"{opened.uri}, {counted(health.images, 'image')} in"
        f" {counted(health.shards, 'shard')}; rows: {rows or 0}"
    )


def _prefect() -> str:
    from ..process.prefect_home import configured_api_url
    from ..serving.prefect_server import require_server

    version = importlib.metadata.version("prefect")
    url = configured_api_url()
    if url is None:
        return f"{version}, no server configured: runs are plain functions unless --server is set"
    require_server(url)
    return f"{version}, server at {redact_url(url)} answers"
