"""The words of a module, read from its source: docstrings, arguments, fields, errors, messages."""

from __future__ import annotations

import ast
import functools
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from import_graph import ROOT, modules

Function = ast.FunctionDef | ast.AsyncFunctionDef

# Their texts are nouns or follow from Python's data model.
_NO_VERB = {"property", "cached_property", "setter", "overload", "computed_field"}
_HEADING = re.compile(r"[A-Z]\w+(?: \w+)?:")
_ENTRY = re.compile(r"    (\*{0,2}[\w.]+(?: \([^)]*\))?(?:, \*{0,2}\w+)*): ?(.*)")


@dataclass(frozen=True)
class Place:
    """A function, class or field, where it stands."""

    path: Path
    line: int
    name: str

    def __str__(self) -> str:
        path = self.path.relative_to(ROOT) if self.path.is_relative_to(ROOT) else self.path
        return f"{path}:{self.line} {self.name}".rstrip()


@functools.cache
def tree_of(path: Path) -> ast.Module:
    """Return the parsed source of a module."""
    return ast.parse(path.read_text(encoding="utf-8"))


@functools.cache
def nodes_of(path: Path) -> tuple[ast.AST, ...]:
    """Return every node of a module: each rule looks at all of them."""
    return tuple(ast.walk(tree_of(path)))


def functions(path: Path) -> Iterator[tuple[Place, Function, str]]:
    """Yield functions and methods that say what they do: none nested, special or a property."""
    for owner, node in _definitions(path):
        decorators = {_last_name(decorator) for decorator in node.decorator_list}
        if not (node.name.startswith("__") or decorators & _NO_VERB):
            place = Place(path, node.lineno, f"{owner}{node.name}")
            yield place, node, ast.get_docstring(node) or ""


def noun_texts(path: Path) -> Iterator[tuple[Place, str]]:
    """Yield the texts of arguments, attributes and fields, and the descriptions of settings."""
    for node in nodes_of(path):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            docstring = ast.get_docstring(node) or ""
            for name, text in [*entries(docstring, "Args"), *entries(docstring, "Attributes")]:
                yield Place(path, node.lineno, f"{node.name}({name})"), text
        if isinstance(node, ast.ClassDef):
            yield from _field_texts(path, node)
        if isinstance(node, ast.keyword) and node.arg in {"description", "help"}:
            text = "".join(_pieces(node.value))
            if text:
                yield Place(path, node.value.lineno, node.arg), text


def raised(node: Function, errors: frozenset[str]) -> set[str]:
    """Return the errors of the family that a function's own body raises by name."""
    names = set()
    for inner in _own_nodes(node):
        if isinstance(inner, ast.Raise) and inner.exc is not None:
            call = inner.exc
            names.add(_last_name(call.func if isinstance(call, ast.Call) else call))
    return names & errors


@functools.cache
def error_family() -> frozenset[str]:
    """Return the names of AssayError and of every class of the package derived from it."""
    bases = {
        node.name: {_last_name(base) for base in node.bases}
        for path in modules().values()
        for node in nodes_of(path)
        if isinstance(node, ast.ClassDef)
    }
    family = {"AssayError"}
    while more := {name for name, of in bases.items() if of & family} - family:
        family |= more
    return frozenset(family)


def messages(path: Path) -> Iterator[tuple[Place, str]]:
    """Yield the strings of a module that are no docstrings."""
    others = set()
    for node in nodes_of(path):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            others.add(id(node.value))
        elif isinstance(node, ast.JoinedStr):
            others.update(map(id, node.values))
    for node in nodes_of(path):
        if id(node) not in others and (text := "".join(_pieces(node))):
            yield Place(path, node.lineno, ""), " ".join(text.split())


def docstrings(path: Path) -> Iterator[tuple[Place, str]]:
    """Yield every docstring of a module, on one line."""
    for node in nodes_of(path):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield Place(path, node.lineno, ""), " ".join(str(node.value.value).split())


def comments(path: Path) -> Iterator[tuple[Place, str]]:
    """Yield every block of comments of a module, on one line."""
    block: list[str] = []
    last = 0
    for token in tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline):
        if token.type == tokenize.COMMENT:
            if block and token.start[0] > last + 1:
                yield Place(path, last, ""), " ".join(block)
                block = []
            block.append(token.string.lstrip("# "))
            last = token.start[0]
    if block:
        yield Place(path, last, ""), " ".join(block)


def template_lines(path: Path) -> Iterator[tuple[Place, str]]:
    """Yield the lines of a template without its tags, or of a file of settings."""
    text = path.read_text(encoding="utf-8")
    text = re.sub(
        r"\{[{%#].*?[}%#]\}", lambda tag: "\n" * tag[0].count("\n"), text, flags=re.DOTALL
    )
    for number, line in enumerate(text.splitlines(), start=1):
        yield Place(path, number, ""), line


def entries(docstring: str, section: str) -> Iterator[tuple[str, str]]:
    """Yield the names and texts of a section of a docstring in Google style."""
    name, text, inside = "", "", False
    for line in [*docstring.splitlines(), "End:"]:
        entry = _ENTRY.fullmatch(line) if inside else None
        if name and (entry or _HEADING.fullmatch(line)):
            yield name, text.strip()
            name = ""
        if _HEADING.fullmatch(line):
            inside = line == f"{section}:"
        elif entry:
            name, text = entry[1], entry[2]
        elif name:
            text += f" {line.strip()}"


def _definitions(path: Path) -> Iterator[tuple[str, Function]]:
    for node in nodes_of(path):
        if isinstance(node, ast.ClassDef):
            for method in node.body:
                if isinstance(method, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    yield f"{node.name}.", method
    for child in tree_of(path).body:
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield "", child


def _own_nodes(node: Function) -> Iterator[ast.AST]:
    ahead: list[ast.AST] = list(node.body)
    while ahead:
        inner = ahead.pop()
        if not isinstance(inner, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            yield inner
            ahead += ast.iter_child_nodes(inner)


def _field_texts(path: Path, node: ast.ClassDef) -> Iterator[tuple[Place, str]]:
    for field, text in zip(node.body, node.body[1:], strict=False):
        if isinstance(field, (ast.AnnAssign, ast.Assign)) and isinstance(text, ast.Expr):
            yield Place(path, text.lineno, node.name), "".join(_pieces(text.value))


def _pieces(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.JoinedStr):
        for piece in node.values:
            yield from _pieces(piece) if isinstance(piece, ast.Constant) else ("{}",)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value


def _last_name(node: ast.AST) -> str:
    if isinstance(node, ast.Call):
        return _last_name(node.func)
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
