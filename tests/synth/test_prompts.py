"""Prompts come from tables, templates and the built-in list."""

import pytest

from assay.data.errors import InputError
from assay.synth.prompts import expand, moderation_prompts, read_prompts


def test_prompts_come_from_text_and_tables(tmp_path):
    """PartiPrompts' columns are read, and others in any case."""
    (tmp_path / "parti.tsv").write_text(
        "Prompt\tCategory\tChallenge\tNote\nbond\tAbstract\tBasic\tx\n"
    )
    (tmp_path / "own.jsonl").write_text('{"text": "a sign", "expected_text": "OPEN"}\n')
    (only,) = read_prompts(tmp_path / "parti.tsv")
    assert (only.prompt, only.category) == ("bond", "Abstract")
    assert read_prompts(tmp_path / "own.jsonl")[0].settings() == {
        "prompt": "a sign",
        "expected_text": "OPEN",
    }
    (tmp_path / "bad.csv").write_text("title\nx\n")
    with pytest.raises(InputError, match="no column prompt, text, caption; seen: title"):
        read_prompts(tmp_path / "bad.csv")
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(InputError, match="has no prompts"):
        read_prompts(tmp_path / "empty.txt")


def test_templates_take_every_combination():
    """Two by two values give four; a variable without values is an error."""
    assert expand("{a} {b} {a}", {"a": ["x", "y"], "b": ["1", "2"]}) == [
        "x 1 x",
        "x 2 x",
        "y 1 y",
        "y 2 y",
    ]
    with pytest.raises(InputError, match="needs values for b"):
        expand("{b}", {})


def test_moderation_prompts_say_the_text_that_must_be_readable():
    """Every prompt contains its expected text."""
    prompts = moderation_prompts()
    assert len({row.prompt for row in prompts}) == 30
    assert all(row.expected_text and row.expected_text in row.prompt for row in prompts)
