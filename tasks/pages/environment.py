"""The Jinja environment of every page: autoescape, strict undefined, one head and one theme."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ...data.text.wording import counted
from .captions import cut, score_text, visible

_SHARED: Final = Path(__file__).parent


@functools.cache
def environment(folder: Path = _SHARED) -> Environment:
    """Return the Jinja environment for the templates of a folder, one per process and folder.

    It keeps the compiled templates: compiling takes longer than rendering most pages.

    Templates may extend `page.html.jinja`, which forbids requests, and scripts but those that a
    page allows by their hash, and includes the theme and the styles of blurred images. The filters
    `cut`, `visible` and `score` are those of `captions`, and `counted` is that of messages.

    Args:
        folder: Folder of the page's own templates.
    """
    made = Environment(
        loader=FileSystemLoader([folder, _SHARED]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"cut": cut, "visible": visible, "score": score_text, "counted": counted}
    return made
