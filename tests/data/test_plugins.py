"""Entry points of installed packages, and messages about broken ones."""

import subprocess
import sys
from pathlib import Path

import pytest

from assay.data import plugins
from assay.data.errors import ConfigError


@pytest.fixture
def on_path(monkeypatch: pytest.MonkeyPatch):
    """Put a folder on the path for one test."""

    def put(folder: Path) -> None:
        monkeypatch.syspath_prepend(str(folder))
        plugins.forget()

    yield put
    monkeypatch.undo()
    plugins.forget()


def add_package(folder: Path, name: str, entry: str, group: str = "assay.sources") -> None:
    """Write the files of an installed package with one entry point."""
    about = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[{group}]\n{entry}\n")


def test_an_installed_package_is_found_and_loaded(plugin):
    """The entry point is listed in its group and loads its object."""
    entry = plugins.entries("assay.sources")["example"]
    assert plugins.package_of(entry) == "assay-plugin-example 1.0"
    assert plugins.load("assay.sources", "example").__name__ == "ExampleSource"


def test_processes_that_are_started_find_it_too(plugin):
    """Subprocesses of a test have the package installed."""
    code = "from assay.data.plugins import entries; print(*entries('assay.sources'))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert "example" in done.stdout.split()


def test_a_name_that_two_packages_add_is_refused(tmp_path, on_path):
    """Two packages with the same name are an error, in any order of installation."""
    add_package(tmp_path, "first-one", "twice = first:Source")
    add_package(tmp_path, "second-one", "twice = second:Source")
    on_path(tmp_path)
    with pytest.raises(
        ConfigError,
        match=r'first-one 1\.0 and second-one 1\.0 both add "twice" to assay\.sources;'
        " uninstall one of them",
    ):
        plugins.entries("assay.sources")


def test_entries_are_sorted_by_name(tmp_path, on_path):
    """Entry points are listed in the same order on every machine."""
    add_package(tmp_path, "first-one", "zebra = first:Source\napple = first:Source")
    on_path(tmp_path)
    names = list(plugins.entries("assay.sources"))
    assert names == sorted(names)
    assert {"apple", "zebra"} <= set(names)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("import no_such_package_of_anybody", "ModuleNotFoundError: No module named"),
        ("raise RuntimeError('no GPU')", "RuntimeError: no GPU"),
        ("Other = 1", "AttributeError: module 'broken_module' has no attribute 'Source'"),
    ],
)
def test_an_object_that_cannot_be_imported_names_its_package(tmp_path, on_path, code, error):
    """The message names package, entry point, error and advice."""
    add_package(tmp_path, "broken-package", "broken = broken_module:Source")
    (tmp_path / "broken_module.py").write_text(code)
    on_path(tmp_path)
    with pytest.raises(ConfigError) as failure:
        plugins.load("assay.sources", "broken")
    sys.modules.pop("broken_module", None)
    assert str(failure.value).startswith(
        'broken-package 1.0 adds "broken" to assay.sources, but broken_module:Source cannot be'
        f" imported: {error}"
    )
    assert str(failure.value).endswith("; update the package or uninstall it")


def test_a_name_that_nobody_adds_is_refused():
    """The message lists the available names."""
    with pytest.raises(ConfigError, match='no installed package adds "nobody" to assay'):
        plugins.load("assay.methods", "nobody")


def test_a_group_that_is_none_is_a_mistake_in_the_code():
    """An unknown group is a ValueError."""
    with pytest.raises(ValueError, match=r"assay\.source is not a group of assay"):
        plugins.entries("assay.source")


def test_listing_entries_imports_none_of_their_packages(plugin):
    """Listing imports no package, not even a broken one."""
    code = (
        "import sys; from assay.data.plugins import entries; entries('assay.sources');"
        "print('assay_plugin_example' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == ["False"]
