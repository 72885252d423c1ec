"""`assay decide`: decide the stored scores again under a policy, or show what would change."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ....data.text.wording import counted
from ..options import AsJson, DryRun, LakeUri, Open, open_lake, print_result


def decide(
    *,
    lake: LakeUri = None,
    policy: Path | None = None,
    detector: str | None = None,
    precision: str | None = None,
    since: str | None = None,
    page: Annotated[Path | None, Parameter(name="--page")] = None,
    json_: AsJson = False,
    open_: Open = False,
    dry_run: DryRun = False,
) -> None:
    """Decide stored scores again under a policy, and show what changes from what to what.

    No image is scored and no detector loaded. If the policy has rules on pixels or the lake has
    known hashes, images without measures are measured first, once. With `--dry-run` nothing is
    written.

    Args:
        lake: Folder of the lake, or its s3:// prefix.
        policy: Policy file [default: the packaged policy].
        detector: Detector of the scores [default: that of the last decisions].
        precision: Precision of these scores: fp32, bf16, fp16 or int8
            [default: that of the last decisions].
        since: Images last seen since a time: a date, a time, or a duration such as 7d
            [default: all images].
        page: HTML page of the changes to write, with veiled thumbnails; also with --dry-run.
        json_: One JSON object on stdout.
        open_: Page of --page shown in the browser.
        dry_run: Changes that would be made, with counts; the decisions stay as they are.

    Raises:
        ConfigError: The lake has no scores, or an option is out of range.
    """
    from ....data.commands import command
    from ....data.durations import since as time_of
    from ....data.user_paths import from_home, require_output
    from ....tasks.decide.policy_file import load_policy
    from ....tasks.redecide.changes import changes_json, changes_text
    from ....tasks.redecide.page import write_changes
    from ...deciding.decide_again import decide_again, shadow
    from ...process.browser import open_page
    from ...progress import for_terminal, watched

    at = None if since is None else time_of("--since", since, now=datetime.now(UTC))
    rules = load_policy(None if policy is None else from_home(policy))
    if page is not None:
        require_output(from_home(page))
    opened = open_lake(lake)
    with watched(for_terminal()):
        seen = shadow(
            opened, rules, detector=detector, precision=precision, since=at, measures=not dry_run
        )
    before = seen.before.policy_id or "images without decisions"
    drawn = None
    if page is not None:
        drawn = write_changes(
            opened, seen.changes, from_home(page), before=before, after=seen.policy.policy_id
        )
    n_images = sum(one.n for one in seen.changes)
    run_id = decide_again(opened, seen, since=at) if n_images and not dry_run else None
    n_changed = sum(one.n for one in seen.changes if one.is_changed)
    options = {"policy": None if policy is None else str(policy), "since": since}
    if dry_run:
        heading = f"dry run: decisions stay as they are; {counted(n_images, 'image')}"
        after = command("decide", lake=opened.uri, **options)
    elif run_id is None:
        heading = (
            f"no scored image was last seen since {at:%Y-%m-%d %H:%M} UTC: no decision is made"
        )
        after = command("show", lake=opened.uri)
    else:
        heading = f"run {run_id}: {counted(n_images, 'image')} decided again"
        after = command("ls", decision="flag", lake=opened.uri)
    lines = [
        heading,
        f"policy      {before} -> {seen.policy.policy_id}",
        changes_text(seen.changes),
        *(
            [
                f"unmeasured  {counted(seen.n_unmeasured, 'image')}: rules on pixels and"
                " known hashes leave"
                " them out here; without --dry-run they are measured first"
            ]
            if seen.n_unmeasured
            else []
        ),
        *([f"page        {drawn}"] if drawn else []),
        *("next", f"  {after}"),
    ]
    values = {
        "lake": opened.uri,
        "dry_run": dry_run,
        "run_id": run_id,
        "policy_before": seen.before.policy_id,
        "policy_id": seen.policy.policy_id,
        "images": n_images,
        "changed": n_changed,
        "unmeasured": seen.n_unmeasured,
        "changes": changes_json(seen.changes),
        "page": drawn,
        "reads": [{"count": n_images, "what": "stored images", "where": opened.uri}],
        "writes": [
            {"count": n_changed, "what": "rows of decisions", "where": f"{opened.uri}/tables"}
        ],
    }
    print_result(
        lambda: "\n".join(lines), paths=[drawn] if drawn else [], values=values, as_json=json_
    )
    if open_:
        open_page(drawn)
