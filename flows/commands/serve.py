"""`assay serve`: `moderate` on a schedule."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from .options import Judging, Reading, Running, request_of


def serve(
    sources: Annotated[tuple[str, ...], Parameter(name="SOURCE", negative="")],
    /,
    *,
    run: Running = None,
    cron: str | None = None,
    name: str | None = None,
    reading: Reading = None,
    judging: Judging = None,
) -> None:
    """Run `moderate` on a schedule on this machine, and when Prefect's pages or API ask.

    Args:
        sources: What every run reads; only what is new is read and scored.
        run: Where the rows live, and how many threads work.
        cron: Five fields in UTC, such as "0 * * * *" for every full hour.
        name: Name of the deployment [default: made of the sources and the lake].
        reading: How sources are walked and read.
        judging: Which detector scores and which policy decides.
    """
    from ..process.signals import ctrl_c_left_to_asyncio
    from ..serving.serve import serve as serve_flow

    with ctrl_c_left_to_asyncio():
        serve_flow(request_of(sources, run, reading, judging), cron=cron, name=name)
