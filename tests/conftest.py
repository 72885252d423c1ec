"""What every test needs: a cache of its own, so that none reads or writes the user's."""

import os

import pytest
from plugin_package import plugin

__all__ = ["own_cache", "plugin"]

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
