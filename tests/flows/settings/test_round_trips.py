"""A request survives every way that its settings travel."""

from __future__ import annotations

import argparse
import json
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
from drawn_requests import requests
from hypothesis import HealthCheck, given, settings

from assay.flows.cli import app
from assay.flows.commands.options import request_of
from assay.flows.moderate import moderate
from assay.flows.request import Request
from assay.flows.settings.environment import environment_settings, variable_of
from assay.flows.settings.resolve import resolve
from assay.flows.settings.toml_text import toml_text

many = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(autouse=True)
def no_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No settings but those of the test."""
    monkeypatch.setenv("ASSAY_CONFIG", "none")
    monkeypatch.delenv("ASSAY_LAKE", raising=False)
    monkeypatch.chdir(tmp_path)


@many
@given(requests())
def test_the_command_line_makes_the_same_request(request_: Request) -> None:
    """Whatever a shell has to quote, and values that begin with a hyphen."""
    text = request_.command("moderate", lake=request_.absolute().lake)
    assert text is not None
    verb, *words = shlex.split(text)[1:]
    assert verb == "moderate"
    # The command wants a source; the request may have none.
    has_none = not request_.sources
    words = [*(["/x"] if has_none else []), *words]
    _, bound, _ = app.parse_args(["moderate", *words], exit_on_error=False, print_error=False)
    parts = (bound.arguments.get(name) for name in ("run", "reading", "judging"))
    again = request_of(() if has_none else bound.arguments["sources"], *parts)
    assert again == request_.absolute()


@many
@given(requests())
def test_a_file_makes_the_same_request(request_: Request) -> None:
    """Every text is escaped as TOML wants it."""
    kept = request_.settings() | {"sources": None}
    path = Path("assay.toml")
    path.write_text(toml_text(kept), encoding="utf-8", newline="")
    found = resolve({"sources": request_.sources}, environment={"ASSAY_CONFIG": str(path)})
    assert found.request == request_.absolute()
    assert tomllib.loads(path.read_text(encoding="utf-8")).keys() == {
        name for name, value in kept.items() if value is not None
    }


@many
@given(requests())
def test_variables_make_the_same_request(request_: Request) -> None:
    """A list is written as JSON."""
    kept = {name: value for name, value in request_.settings().items() if name != "sources"}
    variables = {
        variable_of(name): json.dumps(value) if isinstance(value, tuple) else str(value)
        for name, value in kept.items()
        if value is not None
    }
    said = environment_settings(variables)
    assert Request(**said, sources=request_.sources) == request_


@many
@given(requests())
def test_prefects_parameters_make_the_same_request(request_: Request) -> None:
    """As JSON, checked by Prefect against the flow's own types."""
    parameters = json.loads(json.dumps(request_.settings()))
    checked = moderate.validate_parameters(parameters)
    assert checked.pop("verb") == "moderate"
    assert Request(**checked) == request_


@many
@given(requests())
def test_the_magics_options_make_the_same_request(request_: Request) -> None:
    """As argparse reads them; values that IPython would take apart are left to its own tests."""
    from assay.flows.notebook import AssayMagics

    parser: argparse.ArgumentParser = AssayMagics.moderate.parser
    words: list[str] = []
    for action in parser._actions:
        value: Any = getattr(request_, action.dest, None)
        if action.dest == "sources" or value is None or not action.option_strings:
            continue
        if isinstance(value, bool):
            words.append(action.option_strings[0 if value else 1])
        elif isinstance(value, tuple):
            words += [f"{action.option_strings[0]}={one}" for one in value]
        else:
            words.append(f"{action.option_strings[0]}={value}")
    told = vars(parser.parse_args([*words, "--", "/x"]))
    kept = {n: v for n, v in told.items() if v is not None and n not in {"sources", "server"}}
    assert Request(**kept, sources=request_.sources) == request_
