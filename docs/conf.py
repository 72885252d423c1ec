"""How `make docs` turns these pages into a site, with Sphinx and nothing from other hosts.

The pages read as plain Markdown too. What only the site can have, the navigation and the references
that are taken from the code, is appended to their text here.
"""

from __future__ import annotations

import re
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Final
from unittest import mock

from assay.version import __version__

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "assay"
author = "the authors of assay"
release = version = __version__
copyright = ""  # noqa: A001
language = "en"

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
]
# Anchors as GitHub makes them, so that links hold in both places.
myst_heading_anchors = 4
myst_enable_extensions = ["fieldlist"]
# Blocks that name what they hold, as the tests that run them want it.
suppress_warnings = ["misc.highlighting_failure", "myst.header"]

default_role = "code"
smartquotes = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True}
napoleon_numpy_docstring = False
napoleon_custom_sections = [("Settings", "params_style"), "Source"]
python_maximum_signature_line_length = 88

html_theme = "furo"
html_title = "assay"
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
html_show_sourcelink = False
pygments_style = "friendly"
pygments_dark_style = "monokai"

_NAVIGATION: Final = {
    "First steps": ["installing", "tutorial"],
    "Questions": [
        "sources",
        "report",
        "decisions",
        "guarantees",
        "audits",
        "accountability",
        "detectors",
        "adversarial-examples",
        "backends",
        "explaining",
        "reviewing",
        "datasets",
        "scheduling",
        "events",
        "composing",
        "notebooks",
        "operating",
        "troubleshooting",
        "performance",
        "scale",
    ],
    "Reference": ["commands", "settings", "tables", "python", "glossary"],
    "Extending": [
        "architecture",
        "howto/add-a-detector",
        "howto/add-a-generator",
        "howto/add-a-method",
        "howto/add-a-source",
        "howto/add-a-column",
        "howto/add-a-policy-reason",
    ],
}
# What a user imports: by subject, module and names.
_PYTHON: Final = {
    "Runs": {
        "assay": ["moderate", "score", "Detector", "offer_detector"],
        "assay.flows.results.moderation": ["Moderation"],
        "assay.flows.results.gallery": ["Gallery"],
        "assay.flows.results.explained": ["Explained"],
        "assay.flows.augmentation.run": ["augment"],
        "assay.flows.augmentation.result": ["Augmentation"],
    },
    "Steps": {
        "assay.flows.plain": [
            *("ingest", "score", "decide", "augment", "report", "publish"),
            *("Batch", "Scored", "Decided", "Augmented", "Dataset"),
        ],
    },
    "The lake": {
        "assay": ["Lake"],
        "assay.data.score_key": ["ScoreKey"],
        "assay.tasks.publish.publish": ["publish"],
        "assay.tasks.explain.patches": ["read_patches"],
    },
    "Detectors": {
        "assay.tasks.detector.weights.detector_card": ["Card", "Square"],
    },
    "Generators": {
        "assay.synth.generators.protocol": ["ImageRequest", "Generator"],
    },
    "Methods": {"assay.synth.methods.protocol": ["Method", "Made", "Tools"]},
    "Sources": {
        "assay.data.sources.protocol": ["Source", "SourceRef"],
        "assay.data.sources.items": ["Item", "SourceOptions"],
    },
    "Words of tables": {
        "assay.data.vocabulary": [
            "Status",
            "Reason",
            "Decision",
            "DecisionReason",
            "Doubt",
            "Label",
        ],
    },
    "Errors": {"assay.data.errors": ["AssayError"]},
}


def setup(app: Sphinx) -> None:
    """Append to pages as they are read, and shorten signatures."""
    app.connect("source-read", _append)
    app.connect("autodoc-process-signature", _short)


def _append(app: Sphinx, page: str, text: list[str]) -> None:
    """Append what the site has beside a page's text; name files that the site does not have."""
    text[0] = re.sub(r"\[([^\]]+)\]\((?:\.\./)+([\w./-]+)\)", _named, text[0])
    if page == "index":
        text[0] += "".join(_toctree(caption, pages) for caption, pages in _NAVIGATION.items())
    elif page == "commands":
        text[0] += _commands()
    elif page == "python":
        for subject, modules in _PYTHON.items():
            text[0] += f"\n## {subject}\n"
            for module, names in modules.items():
                text[0] += _rst("".join(_documented(module, name) for name in names))


def _short(
    app: Sphinx, what: str, name: str, obj: object, options: object, arguments: str | None, to: str
) -> tuple[str | None, str]:
    """Return a signature without modules and without the addresses of functions."""
    if arguments:
        arguments = re.sub(r"<function (\w+)>", r"\1", arguments)
        arguments = re.sub(r"~[\w.]+\.(\w+)", r"\1", arguments)
    return arguments, to


def _commands() -> str:
    """Return the help of every command, below a heading of its own."""
    from assay.flows.cli import app

    # Help names the command as it was started, which here is `python -m sphinx`.
    with mock.patch.object(sys, "argv", ["assay"]):
        text = app.generate_docs(output_format="markdown", recursive=True, heading_level=2)
    # Before the first of them stand lists, of which the page has its own.
    return "\n" + text[text.index("### ") :]


def _named(link: re.Match[str]) -> str:
    """Return a link to a file of the repository as text; one between pages stays."""
    stays = (Path(__file__).parent / link[2]).exists()
    return link[0] if stays else f"{link[1]} (`{link[2]}`)"


def _toctree(caption: str, pages: list[str]) -> str:
    lines = [f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n", *pages, "```\n"]
    return "\n".join(lines)


def _rst(text: str) -> str:
    return f"\n```{{eval-rst}}\n{text.strip()}\n```\n"


def _documented(module: str, name: str) -> str:
    kind = "autoclass" if name[0].isupper() else "autofunction"
    return textwrap.dedent(f"\n.. {kind}:: {module}.{name}\n")
