"""A setting is declared once: every face of it has the model's names, defaults and values."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from prefect.utilities.callables import parameter_schema

import assay
from assay.flows.augment import augment_flow
from assay.flows.cli import app
from assay.flows.fields.marks import option_of
from assay.flows.fields.refusals import choices
from assay.flows.moderate import moderate
from assay.flows.notebook import AssayMagics
from assay.flows.request import (
    AugmentSettings,
    JudgingSettings,
    NetworkSettings,
    ReadingSettings,
    Request,
    RunSettings,
)
from assay.flows.settings import faces_file
from assay.flows.settings.describe import help_of
from assay.flows.settings.faces import Keywords
from assay.tasks.detector.backends.devices import PRECISIONS
from assay.tasks.detector.backends.protocol import BACKENDS
from assay.tasks.detector.inputs.profiles import profile_names
from assay.tasks.detector.weights.registry import DEFAULT_DETECTOR
from assay.tasks.views import MODES

FIELDS = Request.model_fields
KEPT = FIELDS.keys() - {"sources"}
ROOT = Path(__file__).resolve().parents[3]
VERBS: dict[tuple[str, ...], set[str]] = {
    ("moderate",): set(KEPT),
    ("serve",): set(KEPT),
    ("config", "show"): set(KEPT),
    ("ingest",): set(ReadingSettings.model_fields) | set(RunSettings.model_fields),
    ("score",): set(JudgingSettings.model_fields) | set(RunSettings.model_fields),
    ("synth", "augment"): set(AugmentSettings.model_fields),
    **{
        (verb,): {"lake", *NetworkSettings.model_fields} for verb in ("explain", "views", "patches")
    },
}
# Options of how a command is started and shown, not settings of a run.
OTHERS = {
    *("--out", "--to", "--dtype", "--limit", "--open", "--dry-run"),
    *("--server", "--json", "--cron", "--name", "--memory", "--t5", "--fuse"),
    *("--generator", "--generator-device", "--generator-precision", "--interval", "--timezone"),
}
# Where a run is asked for. Elsewhere what a run came to has the same names.
FACES = ("commands", "serving", "settings", "fields", "api", "notebook", "moderate.py")
FACES += ("augment.py", "served.py", "start.py")
# Verbs that measure or choose detectors, or publish what they found.
NO_RUNS = {
    f"{verb}.py"
    for verb in ("bench", "calibrate", "deploy", "models", "publish", "similar", "synth")
}
NO_RUNS |= {"decide.py", "policy.py", "regressions.py"}  # judge what is scored already
NO_RUNS.add("image_filters.py")  # chooses stored images
NO_RUNS.add("watch.py")  # chooses files for runs to come


def test_every_setting_says_what_it_is() -> None:
    """A sentence, which the options, the form, the table and the file show."""
    for name, field in FIELDS.items():
        text = str(field.description)
        assert text.endswith("."), name
        assert text[0].isupper(), name


@pytest.mark.parametrize("verb", VERBS)
def test_the_commands_options_are_the_settings(verb: tuple[str, ...]) -> None:
    """Names, help and choices; moderate, augment, score, ingest and serve have the same."""
    found = {}
    command = app
    for word in verb:
        command = command[word]
    for argument in command.assemble_argument_collection():
        name = next((one for one in argument.names if one.startswith("--")), None)
        if name and not name.startswith(("--no-", "--empty-")) and name not in OTHERS:
            found[name] = argument
    wanted = {option_of(name, FIELDS[name]): name for name in VERBS[verb]}
    assert found.keys() - {"--plan"} == wanted.keys()
    for flag, name in wanted.items():
        assert found[flag].parameter.help == help_of(name, FIELDS[name])
        assert tuple(found[flag].get_choices() or ()) == choices(FIELDS[name])


@pytest.mark.parametrize(
    ("flow", "names", "own"),
    [
        (moderate, set(FIELDS), set()),
        (
            augment_flow,
            set(AugmentSettings.model_fields),
            {
                "plan",
                "memory",
                "t5",
                "fuse",
                "generator",
                "generator_device",
                "generator_precision",
            },
        ),
    ],
)
def test_the_form_is_the_settings(flow: Any, names: set[str], own: set[str]) -> None:
    """Descriptions, allowed values, ranges and defaults, and nothing of the machine or the run."""
    form = parameter_schema(flow).model_dump()["properties"]
    assert form.keys() == names - {"n_workers"} | own
    for name in form.keys() - own - {"lake"}:
        field = FIELDS[name]
        assert form[name]["description"] == field.description
        if name != "sources":
            default = field.default
            assert form[name]["default"] == (list(default) if default == () else default)
        enums = [form[name], *form[name].get("anyOf", ())]
        found = next((one["enum"] for one in enums if "enum" in one), [])
        assert tuple(found) == choices(field)
    assert all(one.get("description") for one in form.values())


def test_the_form_has_ranges() -> None:
    """The pages refuse what the run would refuse."""
    form = parameter_schema(moderate).model_dump()["properties"]
    assert form["max_bytes"]["minimum"] == 1
    assert form["fail_on_rejected"]["anyOf"][0] == {"type": "number", "minimum": 0, "maximum": 1}
    assert form["device"]["pattern"].startswith("^(auto|(cuda|")


def test_deployments_made_before_keep_their_parameters() -> None:
    """Those that no form shows any more are taken, and None where a list is empty."""
    old = {
        "sources": ["a"], "include": None, "exclude": None, "roots": None, "lake": None,
        "n_workers": 2, "verb": "score",
    }  # fmt: skip
    checked = moderate.validate_parameters(old)
    assert (checked["include"], checked["n_workers"], checked["verb"]) == ([], 2, "score")


def test_pythons_signature_is_the_settings() -> None:
    """`inspect.signature`, which editors and notebooks show."""
    shown = inspect.signature(assay.moderate).parameters
    assert shown.keys() - {"sources", "name", "server", "quiet"} == KEPT
    for name in KEPT:
        assert shown[name].default == FIELDS[name].default
        assert shown[name].annotation is not inspect.Parameter.empty
        assert help_of(name, FIELDS[name]) in (assay.moderate.__doc__ or "")
    assert get_type_hints(Keywords).keys() == KEPT


def test_the_magics_options_are_the_settings() -> None:
    """Names, help and choices."""
    actions = {action.dest: action for action in AssayMagics.moderate.parser._actions}
    assert actions.keys() - {"help", "sources", "server"} == KEPT
    for name in KEPT:
        assert actions[name].option_strings[0] == option_of(name, FIELDS[name])
        assert tuple(actions[name].choices or ()) == choices(FIELDS[name])
        assert (actions[name].help or "").startswith(help_of(name, FIELDS[name])[:-1])


def test_the_written_files_are_those_of_the_models() -> None:
    """`python -m assay.flows.settings.faces_file` writes them anew."""
    written = faces_file.FACES.read_text(encoding="utf-8")
    assert ast.dump(ast.parse(written)) == ast.dump(ast.parse(faces_file.faces()))
    assert faces_file.table() in faces_file.TABLE.read_text(encoding="utf-8")


def test_no_other_file_declares_a_setting() -> None:
    """No field of a class and no parameter with a default has a setting's name."""
    flows = ROOT / "flows"
    folders = [flows / face for face in FACES if not face.endswith(".py")]
    files = [flows / face for face in FACES if face.endswith(".py")]
    files += [path for folder in folders for path in folder.rglob("*.py")]
    found = {
        (path.name, name)
        for path in files
        if path.name not in NO_RUNS | {"faces.py"}
        for name in _with_defaults(ast.parse(path.read_text())) & KEPT - {"lake"}
    }
    assert found == set()


def _with_defaults(tree: ast.Module) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            names.add(node.target.id)
        elif isinstance(node, ast.FunctionDef):
            args = node.args
            plain = [*args.posonlyargs, *args.args]
            with_default = plain[len(plain) - len(args.defaults) :]
            keyword = [
                one for one, has in zip(args.kwonlyargs, args.kw_defaults, strict=True) if has
            ]
            names |= {one.arg for one in (*with_default, *keyword)}
    return names


def test_the_allowed_values_are_those_that_the_work_knows() -> None:
    """What a setting allows exists, and what exists is allowed."""
    assert choices(FIELDS["backend"]) == ("auto", *BACKENDS)
    assert choices(FIELDS["precision"]) == ("auto", *PRECISIONS)
    assert choices(FIELDS["views"]) == MODES
    assert set(choices(FIELDS["profile"])) == set(profile_names())
    assert FIELDS["detector"].default == DEFAULT_DETECTOR
