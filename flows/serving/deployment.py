"""A deployment as plain data: what `assay deploy` registers, and its entry in a prefect.yaml."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from ...data.errors import ConfigError
from ...data.source_paths import path_of_uri
from ...data.text.redaction import redact_url
from ...data.text.unicode import is_valid
from ...version import __version__
from .schedule import Schedule

Verb = Literal["moderate", "score", "augment", "publish"]
Collision = Literal["enqueue", "cancel-new"]

ENTRYPOINTS: Final[Mapping[Verb, str]] = {
    "moderate": "assay.flows.moderate.moderate",
    "score": "assay.flows.score.score",
    "augment": "assay.flows.augment.augment_flow",
    "publish": "assay.flows.publish.publish",
}
_DESCRIPTIONS: Final[Mapping[Verb, str]] = {
    "moderate": "Ingest, score and decide what is new in the sources, and write a report.",
    "score": "Score what the lake has and the detector has not scored, and decide all.",
    "augment": "Generate the images of a plan, score them, and report evasion.",
    "publish": "Write the labelled images as a dataset.",
}
_CONTAINERS: Final = frozenset({"docker", "kubernetes"})
# Prefect refuses these characters.
_NAME: Final = re.compile(r"[^/%&<>\x00-\x1f]{1,200}")
_CREDENTIAL: Final = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|AUTH|SAS|CREDENTIAL")


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """A flow with its parameters, its schedule and its place to run.

    Attributes:
        verb: Command whose flow it is.
        name: Name; a deployment of the same flow and name is replaced.
        parameters: Parameters of the flow that differ from its defaults, as JSON values.
        pool: Name of the work pool.
        schedule: Schedule; None if runs are started by request only.
        concurrency: Maximum number of runs at a time.
        on_collision: Treatment of a run above that number: it waits, or it is cancelled.
        job_variables: Values that replace those of the work pool's template, such as `image`.
    """

    verb: Verb
    name: str
    parameters: Mapping[str, Any]
    pool: str = "default"
    schedule: Schedule | None = None
    concurrency: int = 1
    on_collision: Collision = "enqueue"
    job_variables: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the names, the number of runs, and that no parameter holds a secret.

        Raises:
            ConfigError: One of them is not allowed.
        """
        for option, name in (("--name", self.name), ("--pool", self.pool)):
            if _NAME.fullmatch(name) is None:
                raise ConfigError(
                    f"{option} is {name!r}; allowed: 1 to 200 characters without / % & < >"
                )
        if self.concurrency < 1:
            raise ConfigError(f"--concurrency is {self.concurrency}; allowed: 1 or more")
        _require_no_secrets(self.parameters)
        _require_no_secret_variables(self.job_variables)

    @property
    def flow_name(self) -> str:
        """Name of the flow on the server."""
        return f"assay-{self.verb}"

    @property
    def full_name(self) -> str:
        """Name of the flow and of the deployment, as in `prefect deployment run`."""
        return f"{self.flow_name}/{self.name}"

    @property
    def description(self) -> str:
        """One sentence that the server's pages show."""
        return _DESCRIPTIONS[self.verb]

    @property
    def tags(self) -> list[str]:
        """Tags of the deployment and of its runs."""
        return ["assay", self.verb]

    def to_prefect(self) -> dict[str, Any]:
        """Return the deployment as an entry of `deployments` in a prefect.yaml."""
        pool: dict[str, Any] = {"name": self.pool}
        if self.job_variables:
            pool["job_variables"] = dict(self.job_variables)
        return {
            "name": self.name,
            "description": self.description,
            "version": __version__,
            "tags": self.tags,
            "entrypoint": ENTRYPOINTS[self.verb],
            "parameters": dict(self.parameters),
            "schedules": [] if self.schedule is None else [self.schedule.to_prefect()],
            "concurrency_limit": {
                "limit": self.concurrency,
                "collision_strategy": self.on_collision.replace("-", "_").upper(),
            },
            "work_pool": pool,
        }


def prefect_file(deployment: Deployment) -> str:
    """Return the text of a prefect.yaml with one deployment, for `prefect deploy --all`."""
    import yaml  # type: ignore[import-untyped]

    # An empty pull keeps Prefect from sending each run to the folder that it was deployed from.
    content = {"name": "assay", "pull": [], "deployments": [deployment.to_prefect()]}
    text: str = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)
    return text


def default_name(known_by: Sequence[Any], named_after: str) -> str:
    """Return a deployment's name: the last part of a path or URL, and a hash.

    Args:
        known_by: JSON values in which deployments differ.
        named_after: Path or URL.
    """
    digest = hashlib.sha256(
        json.dumps(known_by).encode("utf-8", "surrogatepass"),
    ).hexdigest()[:8]
    path = path_of_uri(named_after) if "://" in named_after else named_after
    word = re.sub(r"[^A-Za-z0-9_.]+", "-", Path(path).name).strip("-.")[:40]
    return f"{word or 'lake'}-{digest}"


def job_variables_of(
    pool_type: str | None, image: str | None, given: Sequence[str]
) -> dict[str, Any]:
    """Return the job variables of the options.

    Args:
        pool_type: Type of the work pool; None if it is not known yet.
        image: Container image; None for none.
        given: Texts `NAME=VALUE`; a value that is JSON is read as such.

    Raises:
        ConfigError: A text has another form, or the image does not go with the type.
    """
    variables: dict[str, Any] = {}
    for text in given:
        name, separator, value = text.partition("=")
        if not separator or not name.isidentifier():
            raise ConfigError(
                f"--job-variable is {text!r}; allowed: NAME=VALUE, such as"
                """ 'volumes=["/srv/incoming:/srv/incoming:ro"]'"""
            )
        try:
            variables[name] = json.loads(value)
        except ValueError:
            variables[name] = value
    if image is not None:
        variables["image"] = image
    check_image(pool_type, variables)
    return variables


def check_image(pool_type: str | None, variables: Mapping[str, Any]) -> None:
    """Check that a container has an image with assay, and a process none.

    Raises:
        ConfigError: The image is missing, or has no use.
    """
    if pool_type in _CONTAINERS and not variables.get("image"):
        raise ConfigError(
            f"runs in a work pool of type {pool_type} need an image with assay; build one with the"
            " Dockerfile of assay, push it to a registry that the workers reach, and pass --image"
        )
    if pool_type == "process" and "image" in variables:
        raise ConfigError(
            "--image is for work pools of type docker and kubernetes; runs of a process worker use"
            " the worker's own environment"
        )


def runs_in_containers(pool_type: str | None) -> bool:
    """Return whether runs in a work pool of a type see another file system than the deployer."""
    return pool_type in _CONTAINERS


def _require_no_secrets(parameters: Mapping[str, Any]) -> None:
    """Refuse parameters with secrets: the server stores them, and every user of it reads them."""
    for name, value in parameters.items():
        for text in value if isinstance(value, list) else [value]:
            if not isinstance(text, str):
                continue
            if not is_valid(text):
                raise ConfigError(f"{name} is {text!a}; a Prefect server stores UTF-8 text only")
            if redact_url(text) != text:
                raise ConfigError(
                    f"{name} holds a secret: {redact_url(text)}; a Prefect server would store and"
                    " show it. Put such URLs into a list file on the worker and name that file, or"
                    " set credentials in the worker's environment (AWS_ACCESS_KEY_ID, ...), or use"
                    " assay serve, which hands them to its runs past the server"
                )


def _require_no_secret_variables(variables: Mapping[str, Any]) -> None:
    """Refuse credentials among the variables of a job's environment, which the server stores."""
    environment = variables.get("env")
    for name, value in environment.items() if isinstance(environment, dict) else ():
        if _CREDENTIAL.search(name.upper()) and "{{" not in str(value):
            raise ConfigError(
                f"--job-variable env sets {name}, which a Prefect server would store and show; set"
                " it in the worker's environment, or save it as a block of Prefect and give"
                " {{ prefect.blocks.secret.NAME }} as its value"
            )
