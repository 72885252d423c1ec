"""`assay publish`: labelled datasets for others."""

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
    """Write the labelled dataset as a folder that `datasets.load_dataset` opens.

    Args:
        lake: Folder or s3:// prefix of the lake.
        to: Folder to write; it must not exist yet, or be empty.
        format_: `hf`: Parquet, ClassLabel and a card.
        detector: Detector whose scores to publish [default: the one that decided last].
        precision: Precision of these scores: fp32, bf16, fp16 or int8
            [default: the one that decided last].
        seed: Decides which near-duplicate group falls into which split.
        overwrite: Replace the folder if it exists.
        allow_shortcuts: Reserved for a later check of file format and size as label shortcuts.
        json_: Print one JSON object on stdout.
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
