"""`assay review stats`: how many answers there are, and how far they agree."""

from __future__ import annotations

from typing import Annotated

from ...process.terminal import width_of_stdout
from ..options import AsJson, Flag, LakeUri, open_lake, print_result


def stats(
    *,
    lake: LakeUri = None,
    unsure_counts: Annotated[bool, Flag] = False,
    seed: int = 0,
    json_: AsJson = False,
) -> None:
    """Print how many answers there are, how far reviewers agree, and how fast they work.

    Intervals are 95 % bootstrap intervals over images. Shares on golden items have exact 95 %
    intervals.

    Args:
        lake: Folder of the lake, or its s3:// prefix.
        unsure_counts: `unsure` as a label of its own, instead of a missing answer.
        seed: Seed of the intervals.
        json_: One JSON object on stdout.
    """
    from ....tasks.browse.review_stats import draw_stats
    from ....tasks.review.stats import review_stats

    found = review_stats(open_lake(lake), unsure_counts=unsure_counts, seed=seed)
    print_result(
        lambda: draw_stats(found, width=width_of_stdout()),
        paths=(),
        values=found.to_json(),
        as_json=json_,
    )
