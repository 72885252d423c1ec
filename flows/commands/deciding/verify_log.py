"""`assay verify-log`: find altered, removed and inserted rows of the decision log."""

from __future__ import annotations

import json

from ....data.text.wording import counted
from ..options import AsJson, LakeUri, open_lake


def verify_log(run: str | None = None, /, *, lake: LakeUri = None, json_: AsJson = False) -> None:
    """Check that no decision was altered, removed or inserted after it was made.

    Args:
        run: Id of a run [default: all runs].
        lake: Folder of the lake, or its s3:// prefix.
        json_: One JSON object on stdout.

    Raises:
        GateRefused: The log has faults.
        InputError: There is no run of that id.
    """
    from ....data.errors import GateRefused
    from ....tasks.accountability.verify_log import verify_log as verify

    opened = open_lake(lake)
    found = verify(opened, run)
    if json_:
        print(json.dumps({"lake": opened.uri, **found.to_json()}))  # noqa: T201
    else:
        lines = [
            f"checked     {counted(found.n_rows, 'decision')} of {counted(found.n_runs, 'run')}"
        ]
        if found.n_unlogged:
            lines.append(
                f"unlogged    {counted(found.n_unlogged, 'decision')} of versions without a log"
            )
        if found.open_ends:
            some = ", ".join(found.open_ends[:3])
            lines.append(
                f"open        {counted(len(found.open_ends), 'run')} without a recorded"
                f" end: {some}; rows at"
                " their ends may be missing unseen"
            )
        lines += [
            f"{fault.kind:<11} run {fault.run_id}, row {fault.log_index}"
            f"{'' if fault.image_id is None else f', image {fault.image_id[:16]}'}: {fault.detail}"
            for fault in found.faults
        ]
        lines += [] if found.faults else ["no fault found"]
        print("\n".join(lines))  # noqa: T201
    if found.faults:
        raise GateRefused(
            f"{counted(len(found.faults), 'fault')} in the decision log of"
            f" {opened.uri}; restore the table"
            " from a copy, or see its versions with `assay lake history`"
        )
