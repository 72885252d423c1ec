"""Plans and policies that failed once are read or refused, if the cases are there."""

from pathlib import Path

import pytest

from assay.flows.cli import main
from assay.synth.prompts import read_prompts
from assay.tasks.decide.policy_file import load_policy

PARTI = Path(__file__).resolve().parents[4] / "shared/generators/prompts/PartiPrompts.tsv"
CASES = Path(__file__).resolve().parents[4] / "shared" / "cases"
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="the cases are not here")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("braces-in-prompt", "'a {colour} car' needs values for colour; variables has color"),
        ("empty-sweep", "epsilon = []; allowed: a value, or a list of at least one"),
        ("method-is-a-list", "no method is named ['launder', 'attack']; allowed: text,"),
    ],
)
def test_a_plan_with_a_slip_is_one_line_before_anything_runs(name, said, tmp_path, capsys):
    """The error is one line, and no lake is made."""
    plan = CASES / "s01-plans" / f"{name}.toml"
    with pytest.raises(SystemExit) as stopped:
        main(["synth", "augment", str(plan), "--lake", str(tmp_path / "lake")])
    told = capsys.readouterr()
    assert stopped.value.code in {2, 3}
    assert said in told.err
    assert len(told.err.strip().splitlines()) == 1
    assert not (tmp_path / "lake").exists()


def test_a_policy_may_begin_with_a_byte_order_mark():
    """Editors on Windows write one."""
    assert load_policy(CASES / "s02-policies" / "bom.toml").name == "mine"


@pytest.mark.skipif(not PARTI.is_file(), reason="PartiPrompts is not here")
def test_partiprompts_come_out_as_they_are():
    """All 1,632 prompts are read, with their quotes."""
    lines = PARTI.read_text(encoding="utf-8").split("\n")[1:]
    found = [row.prompt for row in read_prompts(PARTI)]
    assert found == [line.split("\t")[0].strip() for line in lines if line]
    assert (len(found), sum('"' in prompt for prompt in found)) == (1632, 22)
