"""The shared parts of pages: escaping, strict undefined, no requests."""

from pathlib import Path

import pytest
from jinja2 import UndefinedError

from assay.tasks.pages.environment import environment


def test_values_are_escaped_and_must_be_there(tmp_path: Path) -> None:
    """A name cannot open a tag, and a missing value is an error."""
    (tmp_path / "a.jinja").write_text("<b>{{ name }}</b>")
    template = environment(tmp_path).get_template("a.jinja")
    assert template.render(name="<i>") == "<b>&lt;i&gt;</b>"
    with pytest.raises(UndefinedError, match="name"):
        template.render()


def test_a_page_brings_policy_theme_and_veil(tmp_path: Path) -> None:
    """A page with a title and a body alone forbids scripts and can blur images."""
    (tmp_path / "p.jinja").write_text(
        '{% extends "page.html.jinja" %}{% block title %}T{% endblock %}'
        "{% block body %}<p>{{ 0.9999|score }}</p>{% endblock %}"
    )
    page = environment(tmp_path).get_template("p.jinja").render()
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'" in page
    assert "<title>T</title>" in page
    assert "<p>&gt;0.999</p>" in page
    assert "prefers-color-scheme: dark" in page
    assert ".pic .veil" in page


def test_a_template_is_compiled_once_per_process(tmp_path: Path) -> None:
    """Each later page of the folder is drawn with the template of the first."""
    (tmp_path / "a.jinja").write_text("{{ name }}")
    first, second = (environment(tmp_path).get_template("a.jinja") for _ in range(2))
    assert first is second
