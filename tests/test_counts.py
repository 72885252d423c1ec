"""Messages count in the singular where there is one: `counted(n, "image")`, not `{n} images`."""

import ast
import re
from collections.abc import Iterator

from import_graph import ROOT, modules

# A noun in the plural, the first or the second word after a number.
_PLURAL = re.compile(r"(?: [a-z]+)?? (?P<noun>[a-z]*[^\Ws]s)\b(?!/)")
_NOUN_AFTER = re.compile(r" (?:and|are|at|by|for|from|in|instead|of|to|with) ")
# Verbs, and units of memory and of pixels, which are never one.
_NO_NOUNS = {"as", "bytes", "does", "has", "is", "its", "pixels", "times", "was"}


def counts(source: str) -> Iterator[tuple[int, str]]:
    """Yield lines and texts of f-strings that give a number with a noun that is always plural.

    What is refused for being too many is more than one, so texts with "allowed" are left out.
    """
    for text in ast.walk(ast.parse(source)):
        if not isinstance(text, ast.JoinedStr) or "allowed" in ast.unparse(text):
            continue
        for value, words in zip(text.values, text.values[1:], strict=False):
            if isinstance(value, ast.FormattedValue) and isinstance(words, ast.Constant):
                found = None if _NOUN_AFTER.match(words.value) else _PLURAL.match(words.value)
                is_plural = found is not None and found["noun"] not in _NO_NOUNS
                if is_plural and _is_count(value):
                    yield value.lineno, f"{ast.unparse(value)}{words.value[:40]}"


def _is_count(value: ast.FormattedValue) -> bool:
    """Return whether a value is a whole number by its format, its name, or being a length."""
    expression = ast.unparse(value.value)
    form = "" if value.format_spec is None else ast.unparse(value.format_spec)
    if expression.isupper() or (form and not form.strip("f'\"").endswith(("d", ","))):
        return False
    return bool(form) or re.search(r"^len\(|^sum\(|(^|\.)_?n_\w+$", expression) is not None


def test_one_thing_is_not_counted_in_the_plural():
    """A number of any size stands before its noun by `counted`."""
    found = [
        f"{path.relative_to(ROOT)}:{line}: {text}"
        for path in modules().values()
        if path != ROOT / "data/text/wording.py"  # of numbers with 256 bits or more
        for line, text in counts(path.read_text())
    ]
    assert found == []


def test_what_counts_as_a_number_before_a_noun():
    """Lengths, thousands and names of numbers do; rates, amounts, limits and texts do not."""
    found = [
        text
        for line in (
            'f"{len(images)} images"',
            'f"{total:,} scored images of {n_all:d} files"',
            'f"{self.n_rows} rows"',
            'f"{speed:,.1f} images/s, {size:,} bytes, {MOST:,} images, {name} images"',
            'f"{len(names)} names; allowed: 1"',
            'f"{n:,} of images, {len(x)} is, {counted(n, noun)} images"',
        )
        for _, text in counts(line)
    ]
    assert [text.split("} ")[1] for text in found] == [
        "images",
        "scored images of ",
        "files",
        "rows",
    ]
