"""What the package imports is what it declares, and each requirement says why it is there."""

import ast
import sys
import tomllib
from importlib.metadata import packages_distributions

from import_graph import ROOT, modules
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
# Required, and imported by no module of the package.
NOT_IMPORTED = {
    "torchvision",  # transformers and timm import it
}
# Imported by the name of a part, whose release the whole requires.
PART_OF = {
    "annotated-types": "pydantic",
    "markupsafe": "jinja2",
    "pydantic-core": "pydantic",
    "starlette": "fastapi",
    "tokenizers": "transformers",
}


def names(lines) -> set[str]:
    return {canonicalize_name(Requirement(line).name) for line in lines}


def imported() -> set[str]:
    """Distributions that the package's modules import, at the top and inside functions."""
    distributions = packages_distributions()
    found = set()
    for path in modules().values():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                roots = {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                roots = {str(node.module).split(".")[0]}
            else:
                continue
            for root in roots - set(sys.stdlib_module_names) - {"assay"}:
                found |= set(distributions.get(root, [root]))
    named = {canonicalize_name(name) for name in found}
    return {PART_OF.get(name, name) for name in named}


def test_what_is_imported_is_declared():
    """A package that only another one brings may be gone with that one's next release."""
    extras = names(line for name, lines in EXTRAS.items() if name != "dev" for line in lines)
    assert imported() <= names(PROJECT["dependencies"]) | extras


def test_what_is_declared_is_imported():
    """A requirement that nothing uses is dropped, or is known with its reason."""
    assert names(PROJECT["dependencies"]) - imported() == NOT_IMPORTED


def test_each_requirement_has_a_reason_beside_it():
    """The comment above a requirement or behind it says what it is for."""
    before = ""
    inside = False
    for line in (ROOT / "pyproject.toml").read_text().splitlines():
        text = line.strip()
        if text.startswith(("dependencies = [", "docs = [", "dev = [")):
            inside = True
        elif text == "]":
            inside = False
        elif inside and text.startswith('"'):
            assert "# " in text or before.startswith("#"), text
        before = text


def test_the_developers_have_every_extra():
    """Tests of an optional path run where its extra is installed.

    The site is no such path, and the tests of engines and of pages install theirs.
    """
    others = {"dev", "docs", "ray", "dask", "browser"}
    optional = names(line for name, lines in EXTRAS.items() if name not in others for line in lines)
    assert optional <= names(EXTRAS["dev"])
