"""Scripts of pages: modules in one scope, allowed by their hash, that parse no HTML."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from pathlib import Path

import pytest

from assay.tasks.pages import scripts
from assay.tasks.report import page

MODULES = [
    *sorted(scripts.SHARED.glob("*.js")),
    *sorted((Path(page.__file__).parent / "script").glob("*.js")),
]
TOP_LEVEL = re.compile(r"^(?:export )?(?:async )?(?:function|const|let|class) (\w+)", re.MULTILINE)


def test_modules_are_joined_without_their_imports_and_exports(tmp_path: Path) -> None:
    """One function holds all of them, and the hash is that of the text as it stands."""
    (tmp_path / "a.js").write_text("export function a() {}\nexport const B = 1;\n")
    (tmp_path / "b.js").write_text('import { a,\n  B } from "./a.js";\na(B);\n')
    script = scripts.joined(tmp_path / "a.js", tmp_path / "b.js")
    assert script.text == (
        '(() => {\n"use strict";\nfunction a() {}\nconst B = 1;\n\na(B);\n})();\n'
    )
    digest = base64.b64encode(hashlib.sha256(script.text.encode()).digest()).decode()
    assert script.source == f"'sha256-{digest}'"


@pytest.mark.parametrize("text", ["'</script>'", "'<script>'", "// <!-- no", "'</SCRIPT '"])
def test_a_module_cannot_end_the_element(tmp_path: Path, text: str) -> None:
    """What a browser would take for the end of the script is refused."""
    (tmp_path / "a.js").write_text(text)
    with pytest.raises(ValueError, match=r"a\.js has a text that ends"):
        scripts.joined(tmp_path / "a.js")


def test_no_two_modules_give_one_name_to_different_things() -> None:
    """In one scope, the later of two functions of a name would replace the earlier one."""
    names = Counter(name for path in MODULES for name in TOP_LEVEL.findall(path.read_text()))
    assert len(names) > 30
    assert [name for name, n in names.items() if n > 1] == []


def test_imports_of_modules_lead_to_files_that_export_them() -> None:
    """Each module can be imported on its own, too."""
    for path in MODULES:
        for names, target in re.findall(
            r'^import \{([^}]+)\} from "([^"]+)"', path.read_text(), re.M
        ):
            exported = (path.parent / target).resolve().read_text()
            for name in (name.strip() for name in names.split(",")):
                assert re.search(rf"^export (async )?(function|const) {name}\b", exported, re.M), (
                    name
                )


@pytest.mark.parametrize(
    "way",
    [
        *("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("),
        *("new Function", "fetch(", "XMLHttpRequest", 'setAttribute("on', "localStorage"),
        "document.cookie",
    ],
)
def test_scripts_have_no_way_to_run_text_or_to_send_it(way: str) -> None:
    """Text from outside becomes text, stays in the page and is not kept."""
    assert [path.name for path in MODULES if way in path.read_text()] == []
