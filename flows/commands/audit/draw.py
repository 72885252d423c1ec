"""`assay audit draw`: a random sample of decisions, to be labelled by people."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ....data.text.wording import counted
from ..options import AsJson, DryRun, Flag, LakeUri, open_lake, print_effects, print_result


def draw(
    *,
    lake: LakeUri = None,
    run: str | None = None,
    since: str | None = None,
    until: str | None = None,
    n: Annotated[int, Parameter(name=["--n", "-n"])] = 300,
    cleared_share: float = 0.01,
    seed: int = 0,
    to: Path | None = None,
    overwrite: Annotated[bool, Flag] = False,
    json_: AsJson = False,
    dry_run: DryRun = False,
) -> None:
    """Draw a random sample of the images of each decision, and record the audit.

    The drawn images are mixed into the review queue unseen. Half of the sample are cleared images.

    Args:
        lake: Folder of the lake, or its s3:// prefix.
        run: Id of the run [default: the last decisions of all images].
        since: Images seen since a time: a date, a time, or a duration such as 30d.
        until: Images seen before a time; --since 2026-03-01 --until 2026-04-01 is a month.
        n: Size of the sample.
        cleared_share: Smallest share of the cleared images that is drawn, 0 to 1.
        seed: Seed of the draw.
        to: CSV file to label outside, for `assay audit import`; or a .json file of tasks for Label
            Studio, without scores.
        overwrite: Replacement of an existing file.
        json_: One JSON object on stdout.
        dry_run: Number of images that would be drawn; nothing is changed.

    Raises:
        ConfigError: An option is out of range, or the file exists already.
    """
    from ....data.commands import command
    from ....data.durations import since as time_of
    from ....data.errors import ConfigError
    from ....data.user_paths import from_home, require_output
    from ....tasks.audit.audits import draw_audit
    from ....tasks.audit.sheet import write_sheet
    from ...dry_run.effects import Effect, Effects

    now = datetime.now(UTC)
    start = None if since is None else time_of("--since", since, now=now)
    end = None if until is None else time_of("--until", until, now=now)
    file = None if to is None else from_home(to)
    if file is not None:
        require_output(file)
        if file.suffix.lower() not in {".csv", ".json"}:
            raise ConfigError(f"{file}: allowed: a .csv file, or .json for Label Studio")
        if file.exists() and not overwrite:
            raise ConfigError(f"{file} exists already; name another file, or pass --overwrite")
    opened = open_lake(lake)
    audit_id, sample = draw_audit(
        opened,
        run_id=run,
        since=start,
        until=end,
        n_images=n,
        cleared_share=cleared_share,
        seed=seed,
        is_stored=not dry_run,
        write_sheet=None if file is None else lambda sample: write_sheet(opened, sample, file),
    )
    if dry_run:
        writes = [Effect(sample.height, "rows of audits", f"{opened.uri}/tables/audits")]
        if file is not None:
            writes.append(Effect(sample.height, "images to label", str(file)))
        print_effects(Effects(writes=writes), as_json=json_)
        return
    strata = {
        name: part.height for (name,), part in sample.group_by("stratum", maintain_order=True)
    }
    drawn = ", ".join(f"{name} {n_drawn:,}" for name, n_drawn in strata.items())
    lines = [
        f"audit       {audit_id}: {counted(sample.height, 'image')} drawn ({drawn})",
        *([] if file is None else [f"to label    {file}"]),
        "next",
        f"  {command('review', 'next', lake=opened.uri)}    # they are in the queue, unseen",
        f"  {command('audit', 'report', lake=opened.uri)}",
    ]
    print_result(
        lambda: "\n".join(lines),
        paths=[] if file is None else [file],
        values={
            "lake": opened.uri,
            "audit_id": audit_id,
            "drawn": strata,
            "file": None if file is None else str(file),
        },
        as_json=json_,
    )
