"""Moderate a folder by a policy and list what is not cleared: `list_flagged.py FOLDER LAKE POLICY`.

Writes `flagged.csv` in the working folder, the highest score first.
"""

from __future__ import annotations

import sys

import polars as pl

import assay

folder, lake, policy = sys.argv[1:]
result = assay.moderate(
    folder, lake=lake, policy=policy, domain="graphics", detector="mini", quiet=True
)
waiting = result.scores().filter(pl.col("decision") != "clear")
waiting.with_columns(pl.col("reasons").list.join(" ")).write_csv("flagged.csv")
print(f"{waiting.height} of {result.stored} images in flagged.csv; report: {result.report}")
