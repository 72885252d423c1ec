"""Scripts of pages: ES modules joined into one inline script, allowed by its hash alone."""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SHARED: Final = Path(__file__).parent / "script"
_IMPORT: Final = re.compile(r"^import [^;]*;\n", re.MULTILINE)
_EXPORT: Final = re.compile(r"^export (?=async |function |const |class )", re.MULTILINE)
# Texts that end a script element, or change how its end is found.
_ENDS: Final = re.compile(r"</script|<script|<!--", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class InlineScript:
    """A script as it stands between its tags.

    Attributes:
        text: Source, without anything that could end the element.
        source: Source expression of a Content-Security-Policy that allows this text alone.
    """

    text: str
    source: str


@functools.cache
def joined(*modules: Path) -> InlineScript:
    """Return ES modules as one classic script.

    The modules share one scope, so that their top-level names differ. Each stands after the modules
    that it imports from.

    Args:
        *modules: Files of the modules, in order.

    Raises:
        ValueError: A module has a text that ends a script element.
    """
    bodies = []
    for module in modules:
        body = module.read_text(encoding="utf-8")
        if _ENDS.search(body):
            raise ValueError(f"{module.name} has a text that ends a script element")
        bodies.append(_EXPORT.sub("", _IMPORT.sub("", body)))
    text = '(() => {\n"use strict";\n' + "\n".join(bodies) + "})();\n"
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    source = f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
    return InlineScript(text=text, source=source)
