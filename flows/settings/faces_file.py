"""Writes `faces.py`, the settings as types, and the table in docs/settings.md, from the models.

`python -m assay.flows.settings.faces_file` in a checkout, after a setting was changed; a test
compares. They are files since type checkers and editors read files, and since the command would
need pydantic before it can show its help.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from ..fields.marks import NOT_KEPT, kind_of, option_of
from ..fields.refusals import choices, values_in_words
from ..request import (
    JudgingSettings,
    NetworkSettings,
    ReadingSettings,
    Request,
    RunSettings,
)
from .describe import default_words, help_of
from .environment import variable_of

FACES: Final = Path(__file__).with_name("faces.py")
TABLE: Final = Path(__file__).parents[2] / "docs" / "settings.md"
BEGIN: Final = "<!-- The table is written by assay.flows.settings.faces_file. -->\n"

_HEAD: Final = '''"""Settings as types, for the command and for type checkers.

Written from the models of `flows.request` by `assay.flows.settings.faces_file`: change them there.
"""

# ruff: noqa: E501

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Annotated, Literal, TypedDict

from cyclopts import Parameter

from .option_values import whole_number

Text = str | PathLike[str]
'''
_CLASSES: Final[dict[type[BaseModel], str]] = {
    RunSettings: "RunOptions",
    ReadingSettings: "ReadingOptions",
    NetworkSettings: "NetworkOptions",
    JudgingSettings: "JudgingOptions",
}


def faces() -> str:
    """Return the text of `faces.py`."""
    parts = [_HEAD]
    for model, name in _CLASSES.items():
        base = next((one for one in model.__bases__ if one in _CLASSES), None)
        own = model.model_fields.keys() - (base.model_fields.keys() if base else set())
        lines = [_option(field, info) for field, info in model.model_fields.items() if field in own]
        doc = (model.__doc__ or "").splitlines()[0]
        parent = _CLASSES[base] if base else "TypedDict"
        parts.append(f'class {name}({parent}, total=False):\n    """{doc}"""\n\n' + "".join(lines))
    keywords = [
        f"    {name}: {_keyword_type(name, info)}\n    {_quoted(help_of(name, info))}\n"
        for name, info in Request.model_fields.items()
        if name not in NOT_KEPT
    ]
    doc = "Keywords of `assay.moderate`; each may be left out."
    parts.append(
        f'class Keywords(TypedDict, total=False):\n    """{doc}"""\n\n' + "".join(keywords)
    )
    parts.append("LAKE_HELP = " + _quoted(help_of("lake", Request.model_fields["lake"])) + "\n")
    return "\n\n".join(parts)


def table() -> str:
    """Return the table of settings, in Markdown."""
    rows = ["| setting | option | variable | values | default | |", "|---|---|---|---|---|---|"]
    for name, field in Request.model_fields.items():
        if name in NOT_KEPT:
            continue
        cells = (
            f"`{name}`",
            f"`{option_of(name, field)}`",
            f"`{variable_of(name)}`",
            values_in_words(field),
            default_words(field),
            str(field.description).partition(" [default:")[0].rstrip("."),
        )
        rows.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(rows) + "\n"


def _option(name: str, field: FieldInfo) -> str:
    """Return a setting as a line of the command's type."""
    kind, _ = kind_of(field)
    extras = [f"help={_quoted(help_of(name, field))}"]
    if (flag := option_of(name, field)) != "--" + name.replace("_", "-"):
        extras.insert(0, f'name="{flag}"')
    if kind is int:
        extras.append("converter=whole_number")
    names = choices(field)
    type_ = _literal(names) if names else "tuple[str, ...]" if kind is tuple else kind.__name__
    return f"    {name}: Annotated[{type_}, Parameter({', '.join(extras)})]\n"


def _keyword_type(name: str, field: FieldInfo) -> str:
    """Return what `assay.moderate` takes for a setting: paths too, and one text for several."""
    kind, or_none = kind_of(field)
    or_none = or_none or name == "lake"  # None is the one of the environment or the file
    names = choices(field)
    words: dict[type, str] = {str: "Text", tuple: "Text | Sequence[Text]"}
    plain = words.get(kind, kind.__name__)
    return (_literal(names) if names else plain) + (" | None" if or_none else "")


def _literal(names: tuple[str, ...]) -> str:
    return f"Literal[{', '.join(map(_quoted, names))}]"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def write() -> None:
    """Write both files."""
    FACES.write_text(faces(), encoding="utf-8")
    head = TABLE.read_text(encoding="utf-8").partition(BEGIN)[0]
    TABLE.write_text(head + BEGIN + "\n" + table(), encoding="utf-8")


if __name__ == "__main__":
    write()
