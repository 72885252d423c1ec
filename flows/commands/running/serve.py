"""`assay serve`: `moderate` on a schedule."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from ..options import Judging, Reading, Running, request_of


def serve(
    sources: Annotated[tuple[str, ...], Parameter(name="SOURCE", negative="")],
    /,
    *,
    run: Running = None,
    cron: str | None = None,
    interval: str | None = None,
    timezone: str = "UTC",
    name: str | None = None,
    reading: Reading = None,
    judging: Judging = None,
) -> None:
    """Serve `moderate` as a Prefect deployment, on a schedule or on request.

    Args:
        sources: Sources of each run; only new and changed items are read and scored.
        run: Lake and threads.
        cron: Schedule: five cron fields, such as "0 * * * *" for every full hour.
        interval: Schedule: time between runs, such as 15m, 6h or 1d, counted from midnight.
        timezone: Time zone of the schedule, as an IANA name.
        name: Name of the deployment [default: derived from the sources and the lake].
        reading: Options for sources.
        judging: Detector and policy.
    """
    from ...process.prefect_home import settle
    from ...process.signals import ctrl_c_left_to_asyncio
    from ...serving.schedule import schedule_of
    from ...serving.serve import serve as serve_flow

    settle(quiet=False)  # before Prefect is imported
    schedule = schedule_of(cron, interval, timezone)
    request = request_of(sources, run, reading, judging)
    with ctrl_c_left_to_asyncio():
        serve_flow(request, schedule=schedule, name=name)
