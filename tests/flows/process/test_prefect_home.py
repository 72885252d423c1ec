"""A user without a home folder, as in many containers."""

import importlib
import logging
import os
import pwd
import stat
import sys
import tempfile
from pathlib import Path

import pytest
from processes import forked

from assay.data.cache import cache_folder
from assay.flows.process.prefect_home import configured_api_url


@pytest.fixture
def homeless(tmp_path, monkeypatch):
    """No HOME, no entry in the user database, and a temporary folder of the test's own."""
    for name in ("HOME", "ASSAY_CACHE", "XDG_CACHE_HOME", "PREFECT_HOME", "PREFECT_API_URL"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("USER", "nobody")

    def nobody(_uid):
        raise KeyError("uid not found")

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_temporary_cache_serves_who_has_no_home_and_it_is_said(homeless, caplog):
    """The folder is the user's alone, the same next time, and named once with the way out."""
    caplog.set_level(logging.WARNING)
    folder = cache_folder("measured")
    home = homeless / f"assay-{os.getuid()}"
    assert folder == home / ".cache" / "assay" / "measured"
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert configured_api_url() is None
    assert Path.home() == home
    (said,) = [record.getMessage() for record in caplog.records]
    assert str(home) in said
    assert "ASSAY_CACHE" in said
    del os.environ["HOME"]
    assert cache_folder("measured") == folder


def test_a_stated_cache_needs_no_home(homeless, caplog, monkeypatch):
    """With ASSAY_CACHE all goes there, and nothing needs to be said."""
    monkeypatch.setenv("ASSAY_CACHE", str(homeless / "mine"))
    assert cache_folder("int8") == homeless / "mine" / "int8"
    assert configured_api_url() is None
    assert Path.home() == homeless / "mine"
    assert not caplog.records


def test_a_folder_that_somebody_else_made_first_is_not_used(homeless):
    """A link in the place of the temporary home would lead writes elsewhere."""
    (homeless / "trap").mkdir()
    (homeless / f"assay-{os.getuid()}").symlink_to(homeless / "trap")
    folder = cache_folder("measured")
    assert homeless / "trap" not in folder.resolve().parents
    assert homeless in folder.parents


def variable_after_import(module, name):
    """Import a flow in a child process, as a script does."""
    assert "prefect" not in sys.modules
    importlib.import_module(f"assay.flows.{module}")
    return os.environ[name]


@pytest.mark.xdist_group("forked")
@pytest.mark.parametrize("module", ["moderate", "augment"])
@pytest.mark.parametrize(("said", "counts"), [(None, "false"), ("true", "true")])
def test_a_script_that_imports_a_flow_starts_a_server_without_telemetry(module, said, counts):
    """What the temporary server inherits turns it off, and a user's own word on it counts."""
    name = "PREFECT_SERVER_ANALYTICS_ENABLED"
    env = {key: value for key, value in os.environ.items() if key != name}
    if said is not None:
        env[name] = said
    assert forked(variable_after_import, module, name, env=env) == counts
