"""The package's modules and who imports whom, read from the source."""

import ast
import functools
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LAYERS = ("data", "synth", "tasks", "flows")

Graph = Mapping[str, set[str]]


@functools.cache
def folders() -> tuple[str, ...]:
    """Folders of the package that hold modules, as `data` or `data/sources`."""
    found = {path.parent for layer in LAYERS for path in (ROOT / layer).rglob("*.py")}
    return tuple(sorted(folder.relative_to(ROOT).as_posix() for folder in found))


@functools.cache
def modules() -> Mapping[str, Path]:
    """Files of the package by dotted name; the package's face is the empty name."""
    files = [path for layer in LAYERS for path in (ROOT / layer).rglob("*.py")]
    return {_name(path): path for path in sorted([*files, *ROOT.glob("*.py")])}


@functools.cache
def imports() -> Graph:
    """Modules that each module imports: at the top, inside functions, and for types alike."""
    return {name: set(_imported(path, name)) for name, path in modules().items()}


def circles(graph: Graph) -> list[list[str]]:
    """Return groups of names that import one another in a circle, each sorted."""
    ahead = {name: reached(graph, name) for name in graph}
    groups = {
        tuple(sorted({name, *(other for other in ahead[name] if name in ahead.get(other, ()))}))
        for name in graph
        if name in ahead[name]
    }
    return [list(group) for group in sorted(groups)]


def reached(graph: Graph, start: str) -> set[str]:
    """Names that a name imports, at first hand or through others."""
    seen: set[str] = set()
    ahead = list(graph[start])
    while ahead:
        name = ahead.pop()
        if name not in seen:
            seen.add(name)
            ahead += graph.get(name, ())
    return seen


def rooms(folder: str) -> Graph:
    """Return the imports between the rooms of a folder: its subfolders and its own files."""
    prefix = folder.replace("/", ".") + "."

    def room(module: str) -> str:
        return module.removeprefix(prefix).split(".")[0] if module.startswith(prefix) else ""

    graph: dict[str, set[str]] = defaultdict(set)
    for name, targets in imports().items():
        for target in targets:
            if room(name) and room(target) and room(name) != room(target):
                graph[room(name)].add(room(target))
    return dict(graph)


def _name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imported(path: Path, name: str) -> Iterable[str]:
    package = path.relative_to(ROOT).parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.ImportFrom) or not node.level:
            continue
        base = (*package[: len(package) - node.level + 1], *(node.module or "").split("."))
        start = ".".join(part for part in base if part)
        for alias in node.names:
            inner = f"{start}.{alias.name}".lstrip(".")
            target = inner if inner in modules() else start
            if target != name:
                yield target
