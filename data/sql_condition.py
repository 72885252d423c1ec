"""A condition on rows: one SQL expression over named columns.

A condition may come from an untrusted source, and a subquery in SQL can read any file of the
machine. So the tokens of a condition are checked before an SQL parser reads it: only columns,
literals, operators and the functions of this module are allowed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import polars as pl

from .errors import ConfigError, shorten
from .text.wording import did_you_mean

FUNCTIONS: Final = (
    "abs",
    "avg",
    "cast",
    "ceil",
    "coalesce",
    "ends_with",
    "floor",
    "greatest",
    "least",
    "length",
    "lower",
    "max",
    "min",
    "nullif",
    "regexp_like",
    "round",
    "starts_with",
    "strpos",
    "upper",
)
"""Functions that a condition may call; none returns a value much larger than its arguments."""
# Longer texts could hold nesting that overruns the stack of the SQL parser.
MAX_CHARS: Final = 2000

_OPERATORS: Final = ("and", "or", "not", "in", "is", "null", "like", "ilike", "between")
_CASES: Final = ("true", "false", "case", "when", "then", "else", "end", "as")
_TYPES: Final = ("float", "double", "int", "integer", "bigint", "varchar", "text", "boolean")
_STATEMENTS: Final = frozenset({"select", "from", "table", "union", "values", "with"})
_WORDS: Final = frozenset({*_OPERATORS, *_CASES, *_TYPES})
_TOKEN: Final = re.compile(
    r"""(?P<space>\s+)
      | (?P<text>'(?:[^']|'')*')
      | (?P<name>"[^"]+"|[A-Za-z_][A-Za-z0-9_]*)
      | (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
      | (?P<comment>--|/\*)
      | (?P<sign><=|>=|<>|!=|::|\|\||!?~\*?|[-+*/%=<>(),])""",
    re.VERBOSE,
)


def parse_condition(where: str, schema: pl.Schema) -> pl.Expr:
    """Parse a condition into an expression on the columns of a schema.

    Args:
        where: SQL of a WHERE clause, such as `width_px >= 512 and label = 'real'`.
        schema: Columns that the condition may use, with text, numeric and boolean types.

    Raises:
        ConfigError: The condition holds anything but columns, literals, operators and `FUNCTIONS`,
            or its value is not boolean.
    """
    try:
        return _parse(where, schema)
    except _NotACondition as why:
        raise ConfigError(
            f"where = {shorten(where, 80)!r} is not a condition on the images: {why}; columns: "
            f"{', '.join(schema)}"
        ) from why.__cause__


class _NotACondition(ValueError):
    """Reason why a text is no condition."""


def _parse(where: str, schema: pl.Schema) -> pl.Expr:
    if not where.strip():
        raise _NotACondition("it is empty")
    if len(where) > MAX_CHARS:
        raise _NotACondition(f"it has {len(where):,} characters, allowed: {MAX_CHARS:,}")
    _check_words(where, schema)
    example = _example(schema)
    try:
        condition = pl.sql_expr(where)
        kind = example.lazy().select(condition=condition).collect_schema()
        # Errors of regular expressions and comparisons appear only on a row.
        example.filter(condition.cast(pl.Boolean))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, ValueError) as error:
        raise _NotACondition(shorten(str(error).partition("\n")[0], 100)) from error
    if kind["condition"] != pl.Boolean:
        raise _NotACondition(f"its value is {kind['condition']}, not true or false")
    return condition


def _example(schema: pl.Schema) -> pl.DataFrame:
    row = {name: "1" if kind == pl.String else 1 for name, kind in schema.items()}
    return pl.DataFrame([row], schema=schema, strict=False)


def _check_words(where: str, schema: pl.Schema) -> None:
    """Refuse tokens that are neither columns nor parts of an expression."""
    tokens = list(_tokens(where))
    texts = [text for _, text in tokens] + [""] * 2
    for at, (kind, token) in enumerate(tokens):
        following, argument = texts[at + 1 : at + 3]
        if kind == "comment":
            raise _NotACondition(f"{token} begins a comment")
        if kind != "name":
            continue
        plain = token.lower()
        if following == "(" and plain not in _WORDS:
            if plain not in FUNCTIONS:
                raise _NotACondition(
                    f"{token} is not an allowed function; allowed: {', '.join(FUNCTIONS)}"
                )
            if argument == ")":
                raise _NotACondition(f"{token} is called without arguments")
        elif plain not in _WORDS and token.strip('"') not in schema:
            hint = did_you_mean(token, schema)
            if plain in _STATEMENTS:
                hint = " (subqueries and other tables cannot be reached)"
            raise _NotACondition(f"{token} is not a column{hint}")


def _tokens(where: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(where):
        found = _TOKEN.match(where, at)
        if found is None:
            raise _NotACondition(f"{where[at]!r} is not allowed in a condition")
        at = found.end()
        if found.lastgroup != "space":
            yield str(found.lastgroup), found.group()
