"""Completion in IPython's own completer: options of the magics, and values of options."""

from __future__ import annotations

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell


def completed(shell: InteractiveShell, line: str) -> list[str]:
    with provisionalcompleter():
        return [one.text for one in shell.Completer.completions(line, len(line))]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("%moderate images --force", ["--force-drift"]),
        ("result = %moderate images --detec", ["--detector"]),
        ("%moderate images --precision ", ["auto", "bf16", "fp16", "fp32", "int8"]),
        ("%moderate images --precision=f", ["fp16", "fp32"]),
        ("%moderate images --detector mi", ["mini"]),
        ("%moderate images --device xp", ["xpu"]),
        ("%moderate images --no-force", ["--no-force-drift"]),
        ("%moderate images --device cpu --devic", []),
        ("%assay_synth plan.toml --dry", ["--dry-run"]),
        ("%assay_synth plan.toml --generator mini", ["mini-sd3"]),
        ("%%assay_plan --generator-p", ["--generator-precision"]),
        ("%%assay_plan --t5 ", ["auto", "drop", "int8", "keep", "nf4"]),
    ],
)
def test_options_and_values_are_completed(
    shell: InteractiveShell, line: str, words: list[str]
) -> None:
    """Those that begin as the word does; an option that stands in the line is not offered."""
    assert completed(shell, line) == words


def test_other_lines_are_completed_as_before(shell: InteractiveShell) -> None:
    """Names of Python, and sources, which are files."""
    shell.user_ns["detector_of_mine"] = 1
    assert "detector_of_mine" in completed(shell, "detector_o")
    assert not any(word.startswith("--") for word in completed(shell, "%time --de"))


def test_loading_the_extension_again_completes_once(shell: InteractiveShell) -> None:
    """`%reload_ext assay` replaces the completion."""
    shell.run_line_magic("reload_ext", "assay")
    assert completed(shell, "%moderate images --detec") == ["--detector"]


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ('[[make]]\nmethod = "la', ["latent-attack", "launder"]),
        ('[[make]]\nmethod = "text"\ngenerator = "mini', ["mini-sd3"]),
        ('[[make]]\nmethod = "launder"\ncond', ["condition"]),
        ('[[make]]\nmethod = "text"\nprompt = "x"\npro', ["prompts"]),
        ('[parents]\nchoose = "re', ["real"]),
        ("[parents]\nwh", ["where"]),
        ("[[make]]\nmet", ["method"]),
    ],
)
def test_the_plan_in_a_cell_is_completed(
    shell: InteractiveShell, plan: str, words: list[str]
) -> None:
    """Methods, generators, and the settings of the block's own method that it lacks."""
    text = f"%%assay_plan --lake lake\n{plan}"
    with provisionalcompleter():
        found = list(shell.Completer.completions(text, len(text)))
    assert [one.text for one in found] == words
    assert all(text[one.start : one.end] == text[one.start :] for one in found)
    assert all(one.text.startswith(text[one.start : one.end]) for one in found)
