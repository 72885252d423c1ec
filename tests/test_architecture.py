"""The tree keeps its promises: imports go one way, and nothing heavy loads before it is needed."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LAYERS = ("data", "synth", "tasks", "flows")
MAX_LINES = 500
HEAVY = {"torch", "prefect", "transformers", "timm", "diffusers", "polars"}


def modules(layer: str) -> list[Path]:
    return sorted((ROOT / layer).rglob("*.py"))


def layers_imported(path: Path) -> set[str]:
    """Layers of this project that a module imports, from its relative imports."""
    package = path.relative_to(ROOT).parts[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            target = (*base, *(node.module or "").split("."))
            found.add(next((part for part in target if part), ""))
    return found & set(LAYERS)


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
    allowed = set(LAYERS[: LAYERS.index(layer) + 1])
    for path in modules(layer):
        assert layers_imported(path) <= allowed, path


def test_data_knows_neither_torch_nor_prefect():
    """What a row is can be read on a machine without a model library."""
    for path in modules("data"):
        assert not absolute_imports(path) & {"torch", "prefect", "transformers", "timm"}, path


def test_only_flows_import_prefect():
    """Every step runs without Prefect."""
    for layer in ("synth", "tasks"):
        for path in modules(layer):
            assert "prefect" not in absolute_imports(path), path


@pytest.mark.parametrize("layer", LAYERS)
def test_no_file_is_long(layer):
    """A file that cannot be read in one sitting is two files."""
    for path in modules(layer):
        assert len(path.read_text().splitlines()) <= MAX_LINES, path


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
    probe = f"{statement}\nimport sys\nprint('loaded:', sorted({HEAVY} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines()[-1] == "loaded: []"
