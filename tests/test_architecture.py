"""The tree keeps its promises: imports go one way, folders stay small, nothing heavy loads."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from import_graph import LAYERS, ROOT, circles, folders, imports, modules, reached, rooms

MAX_LINES = 500
MAX_MODULES = 20
HEAVY = {"torch", "prefect", "transformers", "timm", "diffusers", "polars"}


def of_layer(layer: str) -> list[Path]:
    return [path for name, path in modules().items() if name.split(".")[0] == layer]


def absolute_imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("layer", LAYERS)
def test_imports_go_one_way(layer):
    """A layer imports itself and the layers before it, never a later one."""
    later = set(LAYERS[LAYERS.index(layer) + 1 :])
    for name, targets in imports().items():
        if name.split(".")[0] == layer:
            assert not {target for target in targets if target.split(".")[0] in later}, name


def test_nothing_imports_the_face_of_the_package():
    """The face imports the modules, so a module that imports the face goes round in a circle."""
    for name, targets in imports().items():
        assert "" not in targets or name == "", name
        assert "assay" not in absolute_imports(modules()[name]), name


def test_no_modules_import_one_another_in_a_circle():
    """Imports inside functions and for types count: a circle is a circle for its reader."""
    assert circles(imports()) == []


@pytest.mark.parametrize("folder", folders())
def test_no_rooms_of_a_folder_import_one_another_in_a_circle(folder):
    """Of the subfolders and files of a folder, one can be read after the other."""
    assert circles(rooms(folder)) == []


def test_data_knows_neither_torch_nor_prefect():
    """What a row is can be read on a machine without a model library."""
    for path in of_layer("data"):
        assert not absolute_imports(path) & {"torch", "prefect", "transformers", "timm"}, path


def test_only_flows_import_prefect():
    """Every step runs without Prefect."""
    for layer in ("synth", "tasks"):
        for path in of_layer(layer):
            assert "prefect" not in absolute_imports(path), path


@pytest.mark.parametrize("module", ["flows.run", "flows.augmentation.run", "flows.plain"])
def test_plain_runs_know_no_prefect(module):
    """A run without a server, of sources or of a plan, needs nothing that imports Prefect."""
    for name in {module, *reached(imports(), module)}:
        assert "prefect" not in absolute_imports(modules()[name]), name


def test_no_file_is_long():
    """A file that cannot be read in one sitting is two files, and a file of tests likewise."""
    for path in [*modules().values(), *(ROOT / "tests").rglob("*.py")]:
        assert len(path.read_text().splitlines()) <= MAX_LINES, path


@pytest.mark.parametrize("folder", folders())
def test_a_folder_holds_about_twenty_modules(folder):
    """A folder whose list does not fit into one view is two folders."""
    held = [path for path in (ROOT / folder).glob("*.py") if path.name != "__init__.py"]
    assert len(held) <= MAX_MODULES


def test_packages_only_hand_names_on():
    """An `__init__.py` has a docstring, imports and names; what works stands in a module."""
    for name, path in modules().items():
        if path.name != "__init__.py":
            continue
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef):
                assert node.name in {"__getattr__", "__dir__"}, path
            elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
                # The face alone sets up the process, before any library is loaded.
                assert name == "", path
            else:
                kinds = (ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign, ast.If, ast.Expr)
                assert isinstance(node, kinds), path


def test_every_folder_is_in_the_wheel():
    """Packages are listed by hand, and one that is missing there is missing for users only."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    listed = set(settings["tool"]["setuptools"]["packages"])
    assert listed == {"assay", *(f"assay.{folder.replace('/', '.')}" for folder in folders())}


def test_tests_mirror_the_tree():
    """A test stands in the folder of what it tests."""
    tests = ROOT / "tests"
    for path in tests.rglob("test_*.py"):
        folder = path.parent.relative_to(tests).as_posix()
        assert folder == "." or folder in folders(), path


@pytest.mark.parametrize(
    "statement",
    [
        "import assay; dir(assay)",
        "import assay.flows.cli as c; c.app(['--help'], result_action='return_value')",
        "import assay.flows.cli as c; c.app(['moderate', '--help'], result_action='return_value')",
    ],
)
def test_the_command_starts_without_heavy_packages(statement):
    """`import assay` and `assay --help` load neither torch nor prefect nor transformers."""
    assert loaded(statement, HEAVY) == "loaded: []"


def test_a_run_starts_without_packages_of_statistics():
    """They take a second to load, and few runs have anything to estimate."""
    slow = {"pandas", "scipy.sparse", "scipy.stats", "sklearn", "torch"}
    assert loaded("import assay.flows.run", slow) == "loaded: []"


def loaded(statement, packages):
    """Return which of the packages a new process has loaded after a statement, as text."""
    probe = f"{statement}\nimport sys\nprint('loaded:', sorted({packages} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.splitlines()[-1]
