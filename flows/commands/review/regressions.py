"""`assay review regressions`: images whose label an appeal overturned, and a detector on them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from ....data.text.wording import counted
from ...process.terminal import width_of_stdout
from ...settings.faces import JudgingOptions
from ..options import (
    AsJson,
    DryRun,
    Flag,
    LakeUri,
    Network,
    open_lake,
    print_effects,
    print_result,
    request_of,
)

if TYPE_CHECKING:
    import polars as pl

    from ....data.store.lake import Lake
    from ...request import Request


def regressions(
    *,
    lake: LakeUri = None,
    network: Network = None,
    policy: str | None = None,
    precision: Literal["auto", "fp32", "bf16", "fp16", "int8"] | None = None,
    backend: Literal["auto", "torch", "torch-compile", "openvino"] | None = None,
    to: Path | None = None,
    overwrite: Annotated[bool, Flag] = False,
    json_: AsJson = False,
    dry_run: DryRun = False,
) -> None:
    """List the images whose label an appeal overturned, or test a detector on them.

    With --detector, the images are scored. An AI-generated image fails if it would be cleared, a
    real or laundered one if it would be flagged; the exit code is then 6. Nothing is written to the
    lake.

    Args:
        lake: Folder of the lake, or its s3:// prefix.
        network: Detector to test.
        policy: Policy file (TOML) with the thresholds [default: that of the settings].
        precision: Number format of the network [default: that of the settings].
        backend: Backend that runs the network [default: that of the settings].
        to: File for the list: .csv, .parquet or .jsonl.
        overwrite: Replacement of an existing file.
        json_: One JSON object on stdout.
        dry_run: Number of images that would be written or scored; nothing is changed.
    """
    from ....data.user_paths import from_home
    from ....tasks.browse.row_file import format_of, require_row_file, write_rows
    from ....tasks.review.regressions import regression_set

    if to is not None:
        to = from_home(to)
        format_of(to)
        require_row_file(to, overwrite=overwrite)
    opened = open_lake(lake)
    found = regression_set(opened)
    if dry_run:
        from ...dry_run.effects import Effect, Effects

        writes = [] if to is None else [Effect(found.height, "rows", str(to))]
        reads = [Effect(found.height, "images", opened.uri)]
        print_effects(Effects(reads=reads, writes=writes), as_json=json_)
        return
    if to is not None:
        write_rows(to, [found], found.schema, kind=format_of(to))
    if "detector" in (network or {}):
        judging = JudgingOptions()
        if policy is not None:
            judging["policy"] = policy
        if precision is not None:
            judging["precision"] = precision
        if backend is not None:
            judging["backend"] = backend
        request = request_of((), network, judging)
        _test(opened, request, found, as_json=json_)
        return
    rows = json.loads(found.write_json())
    print_result(
        lambda: (
            draw(found) if to is None else f"written     {to}: {counted(found.height, 'image')}"
        ),
        paths=() if to is None else [to],
        values={"lake": opened.uri, "file": None if to is None else str(to), "regressions": rows},
        as_json=json_,
    )


def draw(found: pl.DataFrame) -> str:
    """Return the regression set as a text table."""
    from ....tasks.browse.table_text import Column, draw_table

    if found.is_empty():
        return "no images: no appeal was overturned"
    columns = [Column(name="image"), Column(name="label"), Column(name="overturned", hide=1)]
    rows = [
        [
            row["image_id"][:16],
            row["label"],
            f"{row['decided_at']:%Y-%m-%d}",
            row["source_uri"] or "",
        ]
        for row in found.iter_rows(named=True)
    ]
    return draw_table([*columns, Column(name="source")], rows, width=width_of_stdout())


def _test(lake: Lake, request: Request, found: pl.DataFrame, *, as_json: bool) -> None:
    from ....data.errors import GateRefused
    from ....tasks.review.regressions import detector_on, scores_of
    from ...judging import detector_of, identity_of, policy_of

    identity = identity_of(request)
    policy = policy_of(request, identity)
    detector = detector_of(request)
    scores = scores_of(lake, found["image_id"].to_list(), detector)
    tested = detector_on(found, scores, lambda domain: policy.band(detector.detector_id, domain)[0])
    failed = [one for one in tested if not one.passes]
    lines = [
        f"{'passes' if one.passes else 'FAILS':<7} {one.image_id[:16]}  {one.why}" for one in tested
    ]
    lines.append(
        f"{len(tested) - len(failed):,} of {len(tested):,} pass with {detector.detector_id}"
    )
    values = {
        "lake": lake.uri,
        **detector.key.as_row(),
        "policy_id": policy.policy_id,
        "failed": len(failed),
        "tested": [one.to_json() for one in tested],
    }
    print_result(lambda: "\n".join(lines), paths=(), values=values, as_json=as_json)
    if failed:
        raise GateRefused(
            f"{detector.detector_id} fails on {len(failed):,} of"
            f" {counted(len(tested), 'image')} whose label"
            " an appeal overturned; do not act on its decisions alone before they pass"
        )
