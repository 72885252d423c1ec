"""`assay publish`: write a labelled dataset."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from .options import AsJson, LakeUri, open_lake


def publish(
    *,
    lake: LakeUri = None,
    to: Path,
    format_: Annotated[Literal["hf"], Parameter("--format")] = "hf",
    detector: str | None = None,
    precision: str | None = None,
    seed: int = 0,
    overwrite: Annotated[bool, Parameter(negative="")] = False,
    allow_shortcuts: Annotated[bool, Parameter(negative="")] = False,
    json_: AsJson = False,
) -> None:
    """Write the labelled images as a dataset folder for `datasets.load_dataset`.

    Args:
        lake: Folder of the lake, or its s3:// prefix.
        to: Folder to write; must be new or empty.
        format_: Format of the dataset; `hf` is Parquet with ClassLabel and a card.
        detector: Detector whose scores are published [default: that of the last decisions].
        precision: Precision of these scores: fp32, bf16, fp16 or int8
            [default: that of the last decisions].
        seed: Seed that assigns groups of near-duplicates to splits.
        overwrite: An existing folder is replaced.
        allow_shortcuts: Reserved for a future check of file format and size as label shortcuts.
        json_: One JSON object on stdout.
    """
    from ...tasks.publish.opening import opening_command
    from ...tasks.publish.publish import publish as publish_lake

    result = publish_lake(
        open_lake(lake),
        to,
        format=format_,
        detector=detector,
        precision=precision,
        seed=seed,
        overwrite=overwrite,
        allow_shortcuts=allow_shortcuts,
    )
    if json_:
        print(json.dumps(result.to_json()))  # noqa: T201
        return
    counted = ", ".join(
        f"{name} {n:,}" for name, n in (*result.splits.items(), *result.labels.items())
    )
    lines = [f"published   {result.out}"]
    lines.append(f"            {counted}; {result.groups:,} groups of copies")
    if result.recovered:
        lines.append(f"first       {result.recovered}")
    if result.split_note:
        lines.append(f"splits      {result.split_note}")
    print("\n".join([*lines, "next", f"  {opening_command(result.out)}"]))  # noqa: T201
