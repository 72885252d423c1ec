"""Magics: what is written reaches the run, and errors are one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from lakes import Shot, drawn

from assay.data.errors import ConfigError
from assay.flows.api import moderate as api
from assay.flows.results.moderation import Moderation


def test_the_magic_passes_on_what_was_written(
    shell: InteractiveShell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Quotes, variables and tildes as in a shell; options only when given; the result returns."""
    calls: list[tuple[tuple[str, ...], dict[str, Any]]] = []
    answer = Moderation(run_id="r", lake="x")

    def moderate(*sources: str, **settings: Any) -> Moderation:
        calls.append((sources, settings))
        return answer

    monkeypatch.setattr(api, "moderate", moderate)
    shell.user_ns["folder"] = "/from/variable"
    command = '"my pictures" {folder} ~/x --lake ~/lake --detector mini --label-from parent-folder'
    done = shell.run_cell(f"result = %moderate {command}")
    assert done.success
    assert shell.user_ns["result"] is answer
    home = Path("~").expanduser()
    assert calls == [
        (
            ("my pictures", "/from/variable", str(home / "x")),
            {
                "lake": str(home / "lake"),
                "detector": "mini",
                "label_from": "parent-folder",
                "server": False,
            },
        )
    ]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("%moderate", "the following arguments are required: sources"),
        ("%moderate a --nonsense", "unrecognized arguments: --nonsense"),
        ("%moderate a --policy absent.toml", "first line, second line"),
    ],
)
def test_errors_are_one_line_without_a_traceback(
    shell: InteractiveShell,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    line: str,
    words: str,
) -> None:
    """Whether the line is wrong or the run refuses."""

    def refuse(*_: str, **__: Any) -> Moderation:
        raise ConfigError("first line,\n second line")

    monkeypatch.setattr(api, "moderate", refuse)
    done = shell.run_cell(line)
    assert not done.success
    shown = "".join(capsys.readouterr())
    assert words in shown
    assert "Traceback" not in shown
    assert len([text for text in shown.splitlines() if text.startswith("UsageError")]) == 1


def test_the_magic_has_help(shell: InteractiveShell) -> None:
    """`%moderate?` lists the arguments."""
    doc = shell.find_line_magic("moderate").__doc__
    for word in ("--lake", "--detector", "--policy", "sources", "Ingest, score, decide"):
        assert word in doc


@pytest.mark.slow
def test_a_cell_moderates_a_folder_for_real(shell: InteractiveShell, tmp_path: Path) -> None:
    """From pictures to a result that draws itself, on the embedded detector."""
    folder = tmp_path / "my pictures"
    folder.mkdir()
    for seed in range(3):
        (folder / f"{seed}.jpg").write_bytes(drawn(Shot(name="", seed=seed)))
    (folder / "notes.txt").write_text("hello")
    done = shell.run_cell(f'%moderate "{folder}" --lake "{tmp_path / "lake"}" --detector mini')
    assert done.success, done.error_in_exec
    result = done.result
    assert (result.items, result.stored, result.rejected, result.scored) == (4, 3, 1, 3)
    assert sum(result.decisions.values()) == 3
    assert result.scores().height == 3
    html = result._repr_html_()
    assert "flag from" in html
    assert html.count("<details") == 3
    assert Path(result.report).is_file()
