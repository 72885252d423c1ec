"""Description and default of a setting, for help texts."""

from __future__ import annotations

from pydantic.fields import FieldInfo


def default_words(field: FieldInfo) -> str:
    """Return a setting's default as text, such as "one per core" for None."""
    _, found, default_text = str(field.description).partition(" [default: ")
    if found:
        return default_text.removesuffix("].")
    default = field.default
    if isinstance(default, bool):
        return "yes" if default else "no"
    return "none" if default in {None, ()} else str(default)


def help_of(name: str, field: FieldInfo) -> str:
    """Return the help of a command-line option: description and default."""
    text = str(field.description)
    if name == "lake":
        return f"{text[:-1]} [default: $ASSAY_LAKE, assay.toml, or ./{field.default}]."
    if " [default: " in text or field.default is None or field.default in {(), False}:
        return text
    return f"{text[:-1]} [default: {field.default}]."
