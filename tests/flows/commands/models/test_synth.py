"""`assay synth`: what its commands print."""

import json

import pytest

from assay.flows.cli import main
from assay.synth.generators.presets import PRESETS


def test_estimate_goes_by_its_old_name_too(capsys):
    """The same on stdout, and the new name on stderr."""
    main(["synth", "estimate", "sd3.5-medium", "--precision", "bf16", "--device", "cpu"])
    estimated = capsys.readouterr()
    main(["synth", "plan", "sd3.5-medium", "--precision", "bf16", "--device", "cpu"])
    by_old_name = capsys.readouterr()
    assert by_old_name.out == estimated.out
    assert "stabilityai/stable-diffusion-3.5-medium" in estimated.out
    assert estimated.err == ""
    assert "assay synth plan is deprecated; use assay synth estimate" in by_old_name.err


def test_help_names_estimate_alone(capsys):
    """The old name works, and nobody learns it anew."""
    main(["synth", "--help"])
    shown = [line.strip("│ ").split(" ")[0] for line in capsys.readouterr().out.splitlines()]
    assert {"estimate", "schema", "methods"} <= set(shown)
    assert "plan" not in shown


def test_the_schema_goes_to_a_file_and_replaces_none_unasked(tmp_path, capsys):
    """As a plan beside it names it for an editor."""
    out = tmp_path / "plan.schema.json"
    main(["synth", "schema", "--out", str(out)])
    assert "the JSON Schema of plan files" in capsys.readouterr().out
    assert json.loads(out.read_text())["title"] == "assay plan"
    with pytest.raises(SystemExit) as stopped:
        main(["synth", "schema", "--out", str(out)])
    assert stopped.value.code == 2
    assert "--overwrite" in capsys.readouterr().err


def test_a_generator_of_the_command_is_checked_as_the_plans(tmp_path, capsys):
    """Its sizes too, before anything is loaded."""
    plan = tmp_path / "plan.toml"
    plan.write_text(
        '[[make]]\nmethod = "text"\ngenerator = "mini-sd3"\nprompt = "x"\nwidth = 64\nheight = 64\n'
    )
    with pytest.raises(SystemExit):
        main(["synth", "augment", str(plan), "--generator", "sd3.5-large", "--lake", "none"])
    least = round(PRESETS["sd3.5-large"].min_pixels ** 0.5)
    assert f"allowed: areas from {least}x{least}" in capsys.readouterr().err
