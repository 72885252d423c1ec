"""Paths in a plan are relative to the folder of the plan."""

import pytest

from assay.data.errors import ConfigError
from assay.synth.plan.plan_file import read_plan
from assay.synth.plan_paths import is_in_working_folder, plan_path


def test_a_path_leads_beside_the_plan(tmp_path, monkeypatch):
    """The plan's folder takes precedence; absolute paths are unchanged."""
    plans, elsewhere = tmp_path / "plans", tmp_path / "elsewhere"
    for folder in (plans / "masks", elsewhere / "masks", elsewhere / "old"):
        folder.mkdir(parents=True)
    monkeypatch.chdir(elsewhere)
    assert plan_path(plans, "masks") == plans / "masks"
    assert plan_path(plans, str(elsewhere / "old")) == elsewhere / "old"
    assert not is_in_working_folder(plans, "masks")
    assert not is_in_working_folder(plans, str(elsewhere / "old"))


def test_a_path_of_the_working_folder_goes_on_working(tmp_path, monkeypatch):
    """Plans of earlier versions have such paths; missing paths are unchanged."""
    (tmp_path / "old").mkdir()
    monkeypatch.chdir(tmp_path)
    assert str(plan_path(tmp_path / "plans", "old")) == "old"
    assert is_in_working_folder(tmp_path / "plans", "old")
    assert str(plan_path(tmp_path, "nowhere")) == "nowhere"
    assert not is_in_working_folder(tmp_path, "nowhere")
    assert str(plan_path(tmp_path, "x" * 9000)) == "x" * 9000


@pytest.mark.parametrize("at_hand", [True, False])
def test_a_folder_of_masks_is_looked_for_beside_the_plan(tmp_path, monkeypatch, at_hand):
    """The working folder does not matter."""
    plan = tmp_path / "plans" / "plan.toml"
    plan.parent.mkdir()
    if at_hand:
        (plan.parent / "masks").mkdir()
    plan.write_text('[[make]]\nmethod = "inpaint"\ngenerator = "g"\nmask = "masks"\n')
    monkeypatch.chdir(tmp_path)
    if at_hand:
        assert read_plan(plan).blocks[0].settings["mask"] == "masks"
    else:
        with pytest.raises(ConfigError, match=r"mask = 'masks'; allowed: .* or a folder of masks"):
            read_plan(plan)


@pytest.mark.parametrize(
    "block",
    [
        'method = "control"\ncontrolnet = "n"\ncontrol = "canny"\ncontrols = "LONG"',
        'method = "inpaint"\nmask = "LONG"',
        'method = "text"\nprompts = "LONG"',
    ],
)
def test_a_name_too_long_for_a_file_is_nothing_that_is_there(tmp_path, block):
    """It is reported as missing on every platform."""
    plan = tmp_path / "plan.toml"
    plan.write_text(f'[[make]]\ngenerator = "g"\n{block.replace("LONG", "x" * 5000)}\n')
    with pytest.raises(ConfigError, match=r"= 'xxx.*(allowed|is not a folder)"):
        read_plan(plan)
