"""What `assay deploy` would register: names, parameters, schedules, images, and what it refuses."""

import json
import tempfile
from datetime import datetime, timedelta
from importlib import import_module
from zoneinfo import ZoneInfo

import pytest
import yaml
from import_graph import ROOT
from prefect.utilities.callables import parameter_schema

from assay.data.errors import ConfigError
from assay.flows.cli import main
from assay.flows.served import lake_of_run, lasting
from assay.flows.serving.deploy import deploy
from assay.flows.serving.deployment import ENTRYPOINTS, Deployment, job_variables_of
from assay.flows.serving.schedule import schedule_of
from assay.version import __version__


def flow_of(entrypoint):
    """Return the flow that an entrypoint names."""
    module, _, name = entrypoint.rpartition(".")
    return getattr(import_module(module), name)


@pytest.fixture
def deployed(tmp_path, monkeypatch, capsys):
    """Return a function that gives the prefect.yaml of a command, run in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ASSAY_LAKE", raising=False)

    def dry(*words):
        main(["deploy", *words, "--dry-run"])
        return yaml.safe_load(capsys.readouterr().out)

    return dry


@pytest.mark.parametrize(
    ("words", "parameters"),
    [
        (
            ("moderate", "pics", "s3://bucket/x", "--detector", "mini", "--include", "*.jpg"),
            {
                "sources": ["{here}/pics", "s3://bucket/x"],
                "lake": "{here}/assay-lake",
                "detector": "mini",
                "include": ["*.jpg"],
            },
        ),
        (("score", "--lake", "s3://bucket/lake"), {"lake": "s3://bucket/lake"}),
        (
            ("augment", "plan.toml", "--lake", "lake", "--t5", "drop"),
            {"plan": "{here}/plan.toml", "lake": "{here}/lake", "t5": "drop"},
        ),
        (
            ("publish", "--to", "data", "--lake", "lake", "--overwrite"),
            {"to": "{here}/data", "lake": "{here}/lake", "overwrite": True},
        ),
    ],
)
def test_a_deployment_has_what_differs_from_the_flow_s_defaults(
    deployed, tmp_path, words, parameters
):
    """Paths are absolute, the flow accepts the parameters, and the file deploys as it is."""
    text = json.dumps(parameters).replace("{here}", str(tmp_path))
    content = deployed(*words, "--cron", "0 5 * * *", "--on-collision", "cancel-new")
    assert content["pull"] == []
    [entry] = content["deployments"]
    assert entry["parameters"] == json.loads(text)
    assert (entry["version"], entry["tags"]) == (__version__, ["assay", words[0]])
    assert entry["concurrency_limit"] == {"limit": 1, "collision_strategy": "CANCEL_NEW"}
    assert entry["schedules"] == [{"cron": "0 5 * * *", "timezone": "UTC"}]
    flow = flow_of(entry["entrypoint"])
    assert flow.name == f"assay-{words[0]}"
    assert flow.version == __version__
    flow.validate_parameters(entry["parameters"])
    assert deployed(*words)["deployments"][0]["name"] == entry["name"]


def test_runs_in_containers_get_no_path_of_this_machine(deployed, capsys):
    """Relative paths are refused, and the lake is the container's own unless one is named."""
    box = ("--pool-type", "docker", "--image", "registry/assay:1")
    [entry] = deployed("moderate", "/srv/incoming", *box)["deployments"]
    assert entry["parameters"] == {"sources": ["/srv/incoming"]}
    assert entry["work_pool"]["job_variables"] == {"image": "registry/assay:1"}
    for words in (
        ("moderate", "incoming"),
        ("score", "--lake", "lake"),
        ("augment", "plan.toml"),
        ("publish", "--to", "~/data"),
    ):
        with pytest.raises(SystemExit):
            main(["deploy", *words, *box, "--dry-run"])
        assert "give absolute paths as the container sees them" in capsys.readouterr().err


def test_an_interval_counts_from_the_midnight_of_its_zone():
    """The same interval has the same times whenever it is deployed."""
    schedule = schedule_of(None, "6h", "Asia/Kolkata").to_prefect()
    assert schedule["interval"] == timedelta(hours=6).total_seconds()
    anchor = datetime.fromisoformat(schedule["anchor_date"])
    assert anchor == datetime(2020, 1, 1, tzinfo=ZoneInfo("Asia/Kolkata"))
    assert schedule_of(None, "6h", "Asia/Kolkata").to_prefect() == schedule
    assert schedule_of(None, None, "UTC") is None


@pytest.mark.parametrize(
    ("cron", "interval", "zone", "words"),
    [
        ("0 * * * *", "1h", "UTC", "exclude each other"),
        ("every hour", None, "UTC", "five fields"),
        (None, "30s", "UTC", "1m or more"),
        (None, "soon", "UTC", "a unit"),
        ("0 * * * *", None, "Mars", "IANA name"),
    ],
)
def test_a_schedule_that_means_nothing_is_refused(cron, interval, zone, words):
    """The message says what is allowed."""
    with pytest.raises(ConfigError, match=words):
        schedule_of(cron, interval, zone)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"parameters": {"sources": ["https://h/a.jpg?sig=GEHEIM"]}}, "list file on the worker"),
        ({"parameters": {"lake": "s3://KEY:GEHEIM@bucket/lake"}}, "AWS_ACCESS_KEY_ID"),
        ({"parameters": {"sources": ["a\udcff"]}}, "UTF-8"),
        ({"job_variables": {"env": {"AWS_SECRET_ACCESS_KEY": "GEHEIM"}}}, "prefect.blocks.secret"),
        ({"name": "a/b"}, "without /"),
        ({"pool": ""}, "--pool"),
        ({"concurrency": 0}, "1 or more"),
    ],
)
def test_what_a_server_may_not_store_is_refused(changes, words):
    """Secrets above all, and the message does not repeat them."""
    values = {"verb": "moderate", "name": "n", "parameters": {}} | changes
    with pytest.raises(ConfigError, match=words) as caught:
        Deployment(**values)
    assert "GEHEIM" not in str(caught.value)


def test_a_secret_by_the_name_of_a_block_is_kept():
    """Prefect replaces the reference by the secret when a run starts."""
    env = {"AWS_SECRET_ACCESS_KEY": "{{ prefect.blocks.secret.aws }}", "ASSAY_LAKE": "s3://b/l"}
    given = [f"env={json.dumps(env)}", "mem_limit=8g"]
    variables = job_variables_of("docker", "registry/assay:1", given)
    asked = Deployment(verb="score", name="n", parameters={}, job_variables=variables)
    assert asked.to_prefect()["work_pool"]["job_variables"] == {
        "env": env,
        "mem_limit": "8g",
        "image": "registry/assay:1",
    }
    for type_, image, given in (
        ("kubernetes", None, []),
        ("process", "registry/assay:1", []),
        ("docker", "i", ["volumes"]),
    ):
        with pytest.raises(ConfigError, match=r"--image|NAME=VALUE"):
            job_variables_of(type_, image, given)


def test_without_a_server_there_is_nothing_to_deploy_to(monkeypatch):
    """The message names the command that needs no server."""
    monkeypatch.setenv("PREFECT_API_URL", "")
    with pytest.raises(ConfigError, match="assay serve"):
        deploy(Deployment(verb="score", name="n", parameters={}))


def test_a_run_of_a_worker_writes_to_no_folder_that_the_worker_removes(tmp_path, monkeypatch):
    """A relative lake is refused there, and nowhere else."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ASSAY_LAKE", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert lake_of_run(None) == "assay-lake"
    monkeypatch.setenv("PREFECT__RUNTIME__DEPLOYMENT__ID", "7efdd6f6")
    assert lake_of_run("s3://bucket/lake") == "s3://bucket/lake"
    assert lasting("to", str(tmp_path / "data")) == str(tmp_path / "data")
    for call in (lambda: lake_of_run(None), lambda: lasting("to", "data")):
        with pytest.raises(ConfigError, match="absolute path"):
            call()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    assert lake_of_run("lake") == "lake"


@pytest.mark.parametrize("entrypoint", ENTRYPOINTS.values())
def test_the_form_describes_every_parameter(entrypoint):
    """Each has a description, choices are listed, and what every run is about comes first."""
    schema = parameter_schema(flow_of(entrypoint)).model_dump()
    properties = schema["properties"]
    assert [name for name, shown in properties.items() if not shown.get("description")] == []
    assert "n_workers" not in properties
    assert "verb" not in properties
    order = sorted(properties, key=lambda name: properties[name]["position"])
    assert order.index("lake") <= 1
    if "policy" in properties:
        first = len(schema.get("required", []))
        assert order[first : first + 3] == ["lake", "detector", "policy"]
        assert order.index("views") < order.index("force_drift")
        assert properties["precision"]["enum"] == ["auto", "fp32", "bf16", "fp16", "int8"]
    if "t5" in properties:
        assert properties["t5"]["enum"] == ["auto", "keep", "drop", "int8", "nf4"]


def test_the_deployment_file_covers_every_flow_in_this_version():
    """The example names the four flows, the version, and no folder to run in."""
    content = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    assert content["pull"] == []
    entries = content["deployments"]
    assert {entry["entrypoint"] for entry in entries} == set(ENTRYPOINTS.values())
    assert {entry["version"] for entry in entries} == {__version__}
    assert all(entry["tags"][0] == "assay" and entry["description"] for entry in entries)
