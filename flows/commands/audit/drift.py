"""`assay audit drift`: whether the images that come have changed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from ..options import AsJson, Flag, LakeUri, Open, open_lake, print_result


def drift(
    *,
    lake: LakeUri = None,
    run: str | None = None,
    against: str | None = None,
    since: str | None = None,
    baseline_since: str | None = None,
    by: Literal["domain", "source"] | None = None,
    alpha: float = 0.01,
    limit: float = 0.05,
    seed: int = 0,
    page: Annotated[Path | None, Parameter(name="--page")] = None,
    emit: Annotated[bool, Flag] = False,
    fail_on_drift: Annotated[bool, Flag, Parameter(name="--fail-on-drift")] = False,
    json_: AsJson = False,
    open_: Open = False,
) -> None:
    """Compare the images of two runs or times: scores, embeddings, sizes, formats, compression.

    Tells other images from other encoders. Thresholds and audits hold for images like those that
    they were made from.

    Args:
        lake: Folder of the lake, or its s3:// prefix.
        run: Id of the later run [default: the last one that scored 30 images or more].
        against: Id of the earlier run [default: the one before].
        since: Images stored since a time against those stored before, in place of runs: a date, a
            time, or a duration such as 7d.
        baseline_since: Start of the images stored before [default: all].
        by: Comparison within each domain, or each source: the folder or archive of the images.
        alpha: Probability of a false alarm over all tests, 0.001 to 0.5.
        limit: Smallest distance of a measure that counts as a shift, 0 to 1.
        seed: Seed of samples and permutations.
        page: HTML page of the comparison to write, with a chart per measure.
        emit: Event assay.drift.found sent to the Prefect server if anything has shifted.
        fail_on_drift: Exit code 6 if anything has shifted.
        json_: One JSON object on stdout.
        open_: Page of --page shown in the browser.

    Raises:
        ConfigError: An option is out of range, options exclude each other, or the event is wanted
            and no server takes it.
        GateRefused: Something has shifted, and `--fail-on-drift` is set.
    """
    from datetime import UTC, datetime

    from ....data.durations import since as time_of
    from ....data.errors import ConfigError, GateRefused
    from ....data.user_paths import from_home, require_output
    from ....tasks.drift.charts import bars_text
    from ....tasks.drift.of_run import DriftFigures
    from ....tasks.drift.page import write_drift
    from ....tasks.drift.populations import of_runs, of_times
    from ....tasks.drift.report import drift_report
    from ...process.browser import open_page
    from ...process.prefect_home import configured_api_url, settle

    # Smaller rates need more permutations: their number is the one of tests by the rate.
    if not 0.001 <= alpha <= 0.5:
        raise ConfigError(f"--alpha is {alpha}; allowed: 0.001 to 0.5")
    if not 0 <= limit <= 1:
        raise ConfigError(f"--limit is {limit}; allowed: 0 to 1")
    if run is not None and run == against:
        raise ConfigError(f"--run and --against both name {run}; name two runs")
    if since is not None and (run is not None or against is not None):
        raise ConfigError("--since compares times, --run and --against runs; pass one of them")
    if since is None and baseline_since is not None:
        raise ConfigError("--baseline-since needs --since, where its images end")
    if page is not None:
        require_output(from_home(page))
    if emit and configured_api_url() is None:
        raise ConfigError("--emit needs a Prefect server; set PREFECT_API_URL")
    now = datetime.now(UTC)
    at = None if since is None else time_of("--since", since, now=now)
    start = None if baseline_since is None else time_of("--baseline-since", baseline_since, now=now)
    opened = open_lake(lake)
    populations = of_runs(opened, run, against) if at is None else of_times(opened, at, start)
    report = drift_report(opened, populations, by=by, alpha=alpha, limit=limit, seed=seed)
    drawn = None if page is None else write_drift(report, from_home(page))
    text = report.text(has_bars=_can_print(bars_text([1])))
    print_result(
        lambda: text + (f"\npage        {drawn}" if drawn else ""),
        paths=[drawn] if drawn else [],
        values={"lake": opened.uri, **report.to_json(), "page": drawn},
        as_json=json_,
    )
    if open_:
        open_page(drawn)
    if emit and report.drifted:
        settle(quiet=True)
        from ...events.event import drift_found
        from ...events.send import deliver

        name, farthest = report.farthest
        event = drift_found(
            DriftFigures.of(farthest),
            lake=opened.uri,
            limit=limit,
            groups=len(report.drifted),
            source=name if by == "source" else None,
            run_id=populations.run_id,
        )
        deliver([event])
    if fail_on_drift and report.drifted:
        raise GateRefused(
            f"{', '.join(report.drifted)} in {opened.uri} have shifted; look at what is new with"
            " `assay ls`, and draw an audit with `assay audit draw`"
        )


def _can_print(text: str) -> bool:
    """Return whether the terminal or file behind stdout takes a text."""
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True
