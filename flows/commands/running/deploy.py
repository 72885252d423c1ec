"""`assay deploy`: the flows as deployments on a Prefect server, for workers to run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from ..options import (
    AsJson,
    Flag,
    Judging,
    LakeUri,
    Reading,
    Running,
    Sources,
    given_by,
    print_result,
)

if TYPE_CHECKING:
    from ...serving.deployment import Verb
    from ...settings.resolve import Resolved

deploy = App(
    name="deploy",
    help="Register moderate, score, augment or publish on a Prefect server, for its workers.",
)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Target:
    """Name, schedule and place of a deployment.

    Attributes:
        name: Name of the deployment [default: derived from its sources and its lake].
        cron: Schedule: five cron fields, such as "0 * * * *" for every full hour.
        interval: Schedule: time between runs, such as 15m, 6h or 1d, counted from midnight.
        timezone: Time zone of the schedule, as an IANA name.
        pool: Work pool; created if there is none of this name.
        pool_type: Type of the work pool: process, docker, kubernetes or another that Prefect
            knows [default: that of the pool, or process for a new one].
        image: Container image with assay, for pools of type docker and kubernetes.
        job_variables: Values for the pool's template, as NAME=VALUE; a value may be JSON.
        concurrency: Maximum number of runs of the deployment at a time.
        on_collision: Treatment of a run above that number: it waits, or it is cancelled.
        json_: One JSON object on stdout.
        dry_run: Text of a prefect.yaml with the deployment on stdout; no server is asked.
    """

    name: str | None = None
    cron: str | None = None
    interval: str | None = None
    timezone: str = "UTC"
    pool: str = "default"
    pool_type: str | None = None
    image: str | None = None
    job_variables: Annotated[
        tuple[str, ...], Parameter(name="--job-variable", negative="", show_default=False)
    ] = ()
    concurrency: int = 1
    on_collision: Literal["enqueue", "cancel-new"] = "enqueue"
    json_: AsJson = False
    dry_run: Annotated[bool, Flag, Parameter("--dry-run")] = False


@deploy.command
def moderate(
    sources: Sources,
    /,
    *,
    run: Running = None,
    reading: Reading = None,
    judging: Judging = None,
    target: Target | None = None,
) -> None:
    """Deploy `moderate`: ingest, score and decide what is new in the sources.

    Args:
        sources: Sources of each run, as the worker sees them.
        run: Lake and threads.
        reading: Options for sources.
        judging: Detector and policy.
        target: Name, schedule and place.
    """
    from ...request import Request
    from ...serving.parameters import run_parameters
    from ...settings.resolve import resolve

    place = target or Target()
    resolved = resolve({"sources": tuple(sources), **given_by(run, reading, judging)})
    parameters = run_parameters(resolved, Request, in_container=_in_container(place))
    _deploy("moderate", parameters, place, seen=parameters["sources"])


@deploy.command
def score(*, run: Running = None, judging: Judging = None, target: Target | None = None) -> None:
    """Deploy `score`: score what the lake has and the detector has not scored, and decide all.

    Args:
        run: Lake and threads.
        judging: Detector and policy.
        target: Name, schedule and place.
    """
    place = target or Target()
    _deploy("score", _lake_parameters(place, run, judging), place)


@deploy.command
def augment(
    plan: Path,
    /,
    *,
    run: Running = None,
    judging: Judging = None,
    generator: str | None = None,
    memory: str | None = None,
    t5: Literal["auto", "keep", "drop", "int8", "nf4"] = "auto",
    fuse: Annotated[bool, Flag] = False,
    generator_device: str = "auto",
    generator_precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto",
    target: Target | None = None,
) -> None:
    """Deploy `synth augment`: generate the images of a plan, score them, and report evasion.

    Args:
        plan: Plan file, as the worker sees it.
        run: Lake and threads.
        judging: Detector and policy.
        generator: Generator that replaces the plan's in every block that names one.
        memory: Memory of the device, such as 24GB; decides quantisation and offloading.
        t5: Third text encoder.
        fuse: Adapters merged into the generator's weights.
        generator_device: Device of the generator: auto, cpu, cuda, mps or xpu.
        generator_precision: Precision of the generator.
        target: Name, schedule and place.
    """
    from ...serving.parameters import changed, place_parameter

    place = target or Target()
    file = place_parameter("plan", plan, in_container=_in_container(place))
    own = {
        "generator": generator,
        "memory": memory,
        "t5": t5,
        "fuse": fuse,
        "generator_device": generator_device,
        "generator_precision": generator_precision,
    }
    defaults = {"generator": None, "memory": None, "fuse": False}
    parameters = changed(own, dict.fromkeys(own, "auto") | defaults)
    settings = _lake_parameters(place, run, judging)
    _deploy("augment", {"plan": file} | settings | parameters, place, seen=[file])


@deploy.command
def publish(
    *,
    lake: LakeUri = None,
    to: str,
    detector: str | None = None,
    precision: Literal["fp32", "bf16", "fp16", "int8"] | None = None,
    format_: Annotated[Literal["hf", "parquet", "webdataset"], Parameter("--format")] = "hf",
    where: str | None = None,
    cap: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    balance: Literal["label", "domain", "source"] | None = None,
    exclude_license_flag: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    seed: int = 0,
    embeddings: Annotated[bool, Flag] = False,
    overwrite: Annotated[bool, Flag] = False,
    allow_shortcuts: Annotated[bool, Flag] = False,
    align_encoding: Annotated[bool, Flag] = False,
    target: Target | None = None,
) -> None:
    """Deploy `publish`: write the labelled images as a dataset.

    Args:
        lake: Folder of the lake, or its s3:// prefix.
        to: Folder to write, as the worker sees it, or a prefix such as s3://bucket/dataset.
        detector: Detector whose scores are published [default: that of the last decisions].
        precision: Precision of these scores [default: that of the last decisions].
        format_: Format of the data files: `hf` is Parquet for `datasets`, `parquet` is Parquet with
            plain columns, `webdataset` is tar shards.
        where: Condition in SQL on the columns of the dataset, such as "decision = 'flag'"
            [default: all images].
        cap: Largest number of images per value of a column, such as "label=500"; columns: label,
            domain, source (the folder, archive or address above an image).
        balance: Column with as many images of each value, by leaving out others [default: none].
        exclude_license_flag: Licence flag whose images, and all made from them, are left out.
        seed: Seed that draws images and assigns groups of near-duplicates to splits.
        embeddings: Embedding of the scores' detector in each row, as an array of float32.
        overwrite: Dataset of the run before replaced; a schedule needs it.
        allow_shortcuts: Dataset published with a warning although the files alone tell fake from
            real.
        align_encoding: All images encoded alike: centre square of 384 px, JPEG 90.
        target: Name, schedule and place.
    """
    from ....tasks.publish.limits import parse_cap
    from ...request import RunSettings
    from ...serving.parameters import changed, place_parameter, run_parameters
    from ...settings.resolve import resolve

    place = target or Target()
    inside = _in_container(place)
    resolved = resolve({} if lake is None else {"lake": lake})
    named = run_parameters(resolved, RunSettings, in_container=inside)
    own: dict[str, Any] = {"detector": detector, "precision": precision, "where": where}
    own |= {
        "cap": parse_cap(cap) or None,
        "balance": balance,
        "exclude_license_flags": list(exclude_license_flag) or None,
    }
    flags = {
        "embeddings": embeddings,
        "overwrite": overwrite,
        "allow_shortcuts": allow_shortcuts,
        "align_encoding": align_encoding,
    }
    own |= {"format": format_, "seed": seed} | flags
    defaults = dict.fromkeys(own) | {"format": "hf", "seed": 0} | dict.fromkeys(flags, False)
    parameters = {"to": place_parameter("to", to, in_container=inside)}
    parameters |= {"lake": named["lake"]} if "lake" in named else {}
    _deploy("publish", parameters | changed(own, defaults), place)


def _lake_parameters(place: Target, run: Running, judging: Judging) -> dict[str, Any]:
    from ...request import AugmentSettings
    from ...serving.parameters import run_parameters
    from ...settings.resolve import resolve

    resolved: Resolved = resolve(given_by(run, judging))
    return run_parameters(resolved, AugmentSettings, in_container=_in_container(place))


def _in_container(place: Target) -> bool:
    from ...serving.deployment import runs_in_containers

    return runs_in_containers(place.pool_type)


def _deploy(
    verb: Verb, parameters: dict[str, Any], place: Target, *, seen: Iterable[str] = ()
) -> None:
    """Register a deployment and print the commands to run next, or print its prefect.yaml.

    Args:
        verb: Command that is deployed.
        parameters: Parameters of its flow.
        place: Name, schedule and place.
        seen: Paths that the worker must have.
    """
    from ...process.prefect_home import settle
    from ...progress import say
    from ...serving.deployment import Deployment, default_name, job_variables_of, prefect_file
    from ...serving.parameters import unseen
    from ...serving.schedule import schedule_of

    settle(quiet=True)  # before Prefect is imported
    known_by = [parameters.get(name) for name in ("sources", "plan", "to", "lake")]
    first = next((one[0] if isinstance(one, list) else one for one in known_by if one), "")
    deployment = Deployment(
        verb=verb,
        name=place.name or default_name(known_by, first),
        parameters=parameters,
        pool=place.pool,
        schedule=schedule_of(place.cron, place.interval, place.timezone),
        concurrency=place.concurrency,
        on_collision=place.on_collision,
        job_variables=job_variables_of(place.pool_type, place.image, place.job_variables),
    )
    if place.dry_run:
        text = json.dumps(deployment.to_prefect()) if place.json_ else prefect_file(deployment)
        print(text.rstrip("\n"))  # noqa: T201
        return
    from ...serving.deploy import deploy as register

    deployed = register(deployment, pool_type=place.pool_type)
    for path in unseen(seen):
        say(f"note: {path} is not on this machine; the worker must have it")
    show: Callable[[], str] = deployed.summary
    print_result(show, paths=[], values=deployed.to_json(), as_json=place.json_)
