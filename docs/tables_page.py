"""Writes the columns in `docs/tables.md` from the schema: `python docs/tables_page.py`.

A test compares. Types and nulls are those of `data/schema.py`, the words of `data/column_texts.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from assay.data.column_texts import COLUMN_TEXTS, ROW_TEXTS, kind_text
from assay.data.schema import TABLES
from assay.tasks.browse.query import describe_tables

PAGE: Final = Path(__file__).with_name("tables.md")
BEGIN: Final = "<!-- The columns are written by docs/tables_page.py. -->\n"


def columns() -> str:
    """Return the columns of every table as Markdown.

    Raises:
        KeyError: A column has no text.
    """
    parts = []
    for table, schema in TABLES.items():
        lines = [
            f"### {table}",
            "",
            ROW_TEXTS[table],
            "",
            "| column | type | null | |",
            "|---|---|---|---|",
        ]
        lines += [
            f"| `{field.name}` | {kind_text(field.type)} | {'yes' if field.nullable else ''} | "
            f"{COLUMN_TEXTS[table][field.name]} |"
            for field in schema
        ]
        parts.append("\n".join(lines) + "\n")
    name, row, current = describe_tables()[-1]
    lines = [
        f"### {name}",
        "",
        row,
        "These are the columns of `assay ls --json` and `assay export`, and a table of",
        "`assay query`. In CSV, `reasons` are joined by semicolons, and a text that a spreadsheet",
        "would run as a formula has a leading apostrophe.",
        "",
        "| column | type | |",
        "|---|---|---|",
        *(f"| `{column}` | {kind} | {text} |" for column, kind, text in current),
    ]
    parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def page() -> str:
    """Return the whole page: what is written by hand, and the columns."""
    return PAGE.read_text(encoding="utf-8").partition(BEGIN)[0] + BEGIN + "\n" + columns()


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
