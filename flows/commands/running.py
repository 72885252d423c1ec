"""`assay moderate`, `ingest`, `score`, `serve` and `demo`: the verbs that start runs."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from .options import (
    JUDGING,
    READING,
    AsJson,
    Judging,
    LakeUri,
    Quiet,
    Reading,
    Server,
    execute,
    execute_and_tell,
    request_of,
)


def moderate(
    sources: Annotated[tuple[str, ...], Parameter(name="SOURCE", negative="")],
    /,
    *,
    lake: LakeUri = None,
    reading: Reading = READING,
    judging: Judging = JUDGING,
    server: Server = None,
    json_: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Ingest, score, decide and report: from pictures to a scored dataset.

    A SOURCE is a file, a folder, a glob, a zip or tar, a Parquet, JSONL or CSV table, or a URL.
    Running it again reads nothing that has not changed and scores nothing twice.
    """
    request = request_of(lake, sources, reading, judging)
    execute_and_tell(request, "moderate", server=server, quiet=quiet, as_json=json_)


def ingest(
    sources: Annotated[tuple[str, ...], Parameter(name="SOURCE", negative="")],
    /,
    *,
    lake: LakeUri = None,
    reading: Reading = READING,
    json_: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Read, check and store pictures without scoring them."""
    request = request_of(lake, sources, reading, Judging())
    execute_and_tell(request, "ingest", server=False, quiet=quiet, as_json=json_)


def score(
    *,
    lake: LakeUri = None,
    judging: Judging = JUDGING,
    server: Server = None,
    json_: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Score and decide every image of the lake that this detector has not seen."""
    request = request_of(lake, (), Reading(), judging)
    execute_and_tell(request, "score", server=server, quiet=quiet, as_json=json_)


def serve(
    sources: Annotated[tuple[str, ...], Parameter(name="SOURCE", negative="")],
    /,
    *,
    lake: LakeUri = None,
    cron: str | None = None,
    name: str | None = None,
    reading: Reading = READING,
    judging: Judging = JUDGING,
) -> None:
    """Run `moderate` on a schedule on this machine, and when Prefect's pages or API ask.

    Args:
        sources: What every run reads; only what is new is read and scored.
        lake: Folder or s3:// prefix of the lake.
        cron: Five fields in UTC, such as "0 * * * *" for every full hour.
        name: Name of the deployment [default: made of the sources and the lake].
        reading: How sources are walked and read.
        judging: Which detector scores and which policy decides.
    """
    from ..process.signals import ctrl_c_left_to_asyncio
    from ..serving.serve import serve as serve_flow

    with ctrl_c_left_to_asyncio():
        serve_flow(request_of(lake, sources, reading, judging), cron=cron, name=name)


def demo(*, lake: str = "demo-lake", json_: AsJson = False, quiet: Quiet = False) -> None:
    """Run the whole loop on pictures drawn here and the embedded models; no network.

    Ingests, scores and decides, then makes pictures from the photos and says who evades.

    Args:
        lake: Folder for the demo's pictures and lake.
        json_: Print one JSON object on stdout.
        quiet: No progress bars.
    """
    from ..demo import PLAN, demo_request

    request = demo_request(Path(lake))
    result = execute(request, "moderate", server=False, quiet=quiet)
    if not json_:
        print(f"{result.summary()}\n")  # noqa: T201
    from ...synth.plan.plan_file import plan_of_dict
    from ..augment import augment
    from ..progress import for_terminal, watched

    with watched(for_terminal(quiet=quiet)):
        made = augment(
            dataclasses.replace(request, sources=()), plan_of_dict(PLAN, folder=Path(lake))
        )
    if json_:
        print(json.dumps(result.to_json() | {"augment": made.to_json()}))  # noqa: T201
        return
    print(  # noqa: T201
        f"{made.summary()}\n"
        "  assay moderate YOUR-PICTURES --detector mini\n"
        "  assay synth example > plan.toml\n"
        "The demo draws its pictures and the embedded models are tiny: none of these figures says "
        "how a real detector fares."
    )
