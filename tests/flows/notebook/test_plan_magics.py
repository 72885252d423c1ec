"""`%assay_synth` and `%%assay_plan`: a plan is checked, estimated, and made on request."""

from __future__ import annotations

from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell
from lakes import Shot, lake_of

PLAN = """\
[parents]
choose = "real"

[[make]]
method = "launder"
condition = ["jpeg-70", "half"]
"""
WITH_GENERATOR = """\
[[make]]
method = "text"
generator = "mini-sd3"
prompt = ["a dark photo", "a bright photo"]
times = 3
"""
OPTIONS = "--detector mini --backend torch"


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """Make a lake with two images labelled real and one that is not."""
    shots = [Shot(name=name, seed=seed, label="real") for seed, name in enumerate("ab")]
    lake_of(tmp_path / "lake", [*shots, Shot(name="c", seed=2)])
    return tmp_path / "lake"


def test_a_plan_in_a_cell_is_checked_and_counted_and_nothing_is_made(
    shell: InteractiveShell, lake: Path
) -> None:
    """Two parents and two conditions are four images at most."""
    before = sorted(path for path in lake.rglob("*") if path.is_file())
    done = shell.run_cell(f"%%assay_plan --lake {lake} {OPTIONS}\n{PLAN}")
    assert done.success, done.error_in_exec
    text = repr(done.result)
    assert text.startswith("the plan is valid; nothing is changed")
    assert "at most 4  images of launder" in text
    assert sorted(path for path in lake.rglob("*") if path.is_file()) == before


def test_generators_are_estimated_for_all_their_images(shell: InteractiveShell, lake: Path) -> None:
    """Two prompts, three times each; the generator is not loaded."""
    done = shell.run_cell(f"%%assay_plan --lake {lake} {OPTIONS}\n{WITH_GENERATOR}")
    assert done.success, done.error_in_exec
    text = repr(done.result)
    assert "generator mini-sd3" in text
    assert "images      6 at" in text


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("[[make]]\nmethod = 'laundr'", "the cell, line 2"),
        ("\n[[make]]\nmethod =", "at line 4, column 9"),
        ("seed = -1", "seed is -1; allowed"),
    ],
)
def test_a_wrong_plan_is_one_line_that_names_the_line_of_the_cell(
    shell: InteractiveShell, lake: Path, capsys: pytest.CaptureFixture[str], cell: str, words: str
) -> None:
    """Lines are counted as the cell shows them, from the magic's own."""
    done = shell.run_cell(f"%%assay_plan --lake {lake} {OPTIONS}\n{cell}")
    assert not done.success
    shown = "".join(capsys.readouterr())
    assert words in shown
    assert "Traceback" not in shown


def test_a_plan_is_made_with_run_and_a_file_by_the_line_magic_alike(
    shell: InteractiveShell, lake: Path, tmp_path: Path
) -> None:
    """The cell makes four images; the same plan as a file has nothing left to make."""
    done = shell.run_cell(f"%%assay_plan --run --lake {lake} {OPTIONS}\n{PLAN}")
    assert done.success, done.error_in_exec
    assert (done.result.made, done.result.known) == (4, 0)
    cell = done.result._repr_html_()
    assert "4 images made" in cell
    assert cell.count("<details") == 4
    (tmp_path / "my plan.toml").write_text(PLAN)
    line = f'again = %assay_synth "{tmp_path / "my plan.toml"}" --lake {lake} {OPTIONS}'
    done = shell.run_cell(line)
    assert done.success, done.error_in_exec
    assert (shell.user_ns["again"].made, shell.user_ns["again"].known) == (0, 4)


def test_a_plan_file_is_only_checked_in_a_dry_run(
    shell: InteractiveShell, lake: Path, tmp_path: Path
) -> None:
    """As `%%assay_plan` without `--run`."""
    (tmp_path / "plan.toml").write_text(PLAN)
    line = f"check = %assay_synth {tmp_path}/plan.toml --dry-run --lake {lake} {OPTIONS}"
    assert shell.run_cell(line).success
    assert "at most 4  images of launder" in repr(shell.user_ns["check"])


@pytest.mark.parametrize("kind", ["line", "cell"])
def test_the_magics_have_help(shell: InteractiveShell, kind: str) -> None:
    """`%assay_synth?` and `%%assay_plan?` list options and what they mean."""
    magic = {
        "line": lambda: shell.find_line_magic("assay_synth"),
        "cell": lambda: shell.find_cell_magic("assay_plan"),
    }[kind]()
    for words in ("--lake", "--generator-precision", "Memory of the device", "evades"):
        assert words in magic.__doc__
