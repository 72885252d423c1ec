"""What every test needs: a cache of its own, and backends that are measured in short."""

import os

import pytest
from plugin_package import plugin

__all__ = ["own_cache", "plugin", "short_rates"]

# Before PyTorch loads, here and in what tests start: several processes share the cores.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory):
    """Measurements, quantised weights and indexes go to a folder of this session's."""
    before = os.environ.get("ASSAY_CACHE")
    os.environ["ASSAY_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["ASSAY_CACHE"]
    else:
        os.environ["ASSAY_CACHE"] = before


@pytest.fixture(autouse=True, scope="session")
def short_rates():
    """Backends are measured in two rounds of one batch per core: the rate itself is not tested."""
    from assay.tasks.detector.selection import choose_backend

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(choose_backend, "_ROUNDS_PER_STREAM", 1)
        yield
