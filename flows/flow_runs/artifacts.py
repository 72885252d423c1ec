"""Artifacts of a run on its page of the Prefect server: a summary, and the flagged images."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterable
from typing import Any, Final

import httpx
import polars as pl
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.exceptions import PrefectException

from ...data.commands import command
from ...data.errors import AssayError, clean, shorten
from ...data.source_paths import absolute_source
from ...data.store.lake import Lake
from ...data.vocabulary import Decision, Reason
from ...tasks.rejections import remedy_of
from ...tasks.runs.run_record import images_by_score
from ..blocks.names import is_block
from ..results.moderation import Moderation

MAX_FLAGGED: Final = 100

_log = logging.getLogger(__name__)


def write_artifacts(result: Moderation, *, verb: str, title: str, more: str = "") -> None:
    """Write the artifacts of a finished run; a server that refuses them does not fail the run.

    Args:
        result: Result of the run.
        verb: Name of the run in the `runs` table, which is part of the artifacts' keys.
        title: Title of the summary.
        more: Further sections of the summary, in Markdown.
    """
    try:
        create_markdown_artifact(
            key=f"assay-{verb}",
            markdown=summary_markdown(result, title=title, host=socket.gethostname(), more=more),
            description=f"Run {result.run_id}: counts, decisions, rejected items, report",
        )
        if n_flagged := result.decisions.get(Decision.FLAG.value, 0):
            create_table_artifact(
                key=f"assay-{verb}-flagged",
                table=flagged_rows(result),
                description=f"Flagged images of run {result.run_id}, by descending score: the "
                f"first {min(n_flagged, MAX_FLAGGED):,} of {n_flagged:,}",
            )
    except (httpx.HTTPError, PrefectException, AssayError) as error:
        _log.warning("the run is complete, its artifacts are not: %s", shorten(str(error)))


def summary_markdown(result: Moderation, *, title: str, host: str, more: str = "") -> str:
    """Return the summary of a run in Markdown.

    Args:
        result: Result of the run.
        title: Title of the page.
        host: Name of the machine on which local paths are valid.
        more: Further sections, in Markdown.
    """
    parts = [
        f"# {_plain(title)}",
        f"Run `{result.run_id}`: {result.head} in {result.seconds:,.1f} s.",
        _counts(result),
        _report(result, host),
        _rejected(result),
        _drift(result),
        more,
        _backend(result),
        _again(result),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def flagged_rows(result: Moderation) -> list[dict[str, Any]]:
    """Return the flagged images of a run as plain rows, by descending score, 100 at most.

    Raises:
        InputError: The lake has no record of the run.
        StoreError: The lake cannot be read.
    """
    rows = (
        images_by_score(Lake(result.lake, create=False), result.run_id)
        .filter(pl.col("decision") == Decision.FLAG.value)
        .select("image_id", "source_uri", "prob_fake", "reasons")
        .head(MAX_FLAGGED)
        .collect()
    )
    return [
        {
            "image": row["image_id"][:12],
            "source": shorten(row["source_uri"] or ""),
            "score": None if row["prob_fake"] is None else round(row["prob_fake"], 4),
            "reasons": ", ".join(row["reasons"] or ()),
        }
        for row in rows.iter_rows(named=True)
    ]


def markdown_table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Return a table in Markdown; numbers are grouped by thousands."""
    heads = list(head)
    lines = [heads, ["---"] * len(heads), *([_cell(value) for value in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def as_code(text: str) -> str:
    """Return a text that may stand between backticks."""
    return clean(text).replace("`", "'")


def _counts(result: Moderation) -> str:
    rows: list[tuple[str, object]] = []
    if result.batch_id is not None:
        rows += [
            ("items", result.items),
            ("stored", result.stored),
            ("duplicates", result.duplicates),
            ("rejected", result.rejected),
            ("unchanged, not read again", result.unchanged),
        ]
    if result.decisions:
        rows += [
            ("scored now", result.scored),
            ("scored earlier", result.already_scored),
            ("failed", result.failed),
        ]
    total = sum(result.decisions.values())
    for name, n in result.decisions.items():
        rows.append((f"decided {name}", f"{n:,} ({n / total:.1%})" if total else n))
    return markdown_table(("count", "images"), rows)


def _rejected(result: Moderation) -> str:
    if not result.rejected:
        return ""
    # A list, since the pages cut off what a wide table has on the right.
    reasons = "\n".join(
        f"- {n:,} `{as_code(name)}`, {Reason.text_of(name)}. {_plain(remedy_of(name))}"
        for name, n in result.rejected_by_reason.items()
    )
    return f"## Rejected items: {result.rejected:,} of {result.items:,}\n\n{reasons}"


def _drift(result: Moderation) -> str:
    if result.drift is None:
        return ""
    whole, *sources = (_plain(line) for line in result.drift.lines())
    return "\n".join([f"## Drift\n\n{whole}\n", *(f"- {line}" for line in sources)])


def _backend(result: Moderation) -> str:
    if result.detector is None:
        return ""
    text = f"## Detector\n\n`{as_code(result.detector)}` in {result.precision}"
    if result.backend is None:
        return f"{text}; nothing was left to score."
    rate = f"{result.images_per_second:,.1f} images/s over the whole run"
    return f"{text} on `{result.backend}`, {rate}. Backend: {_plain(result.backend_why or '')}."


def _report(result: Moderation, host: str) -> str:
    place = result.lake if is_block(result.lake) else absolute_source(result.lake)
    lake = f"Lake: `{as_code(place)}`"
    if not result.report:
        return f"## Lake\n\n{lake}"
    is_local = "://" not in result.report
    where = f"a file on `{as_code(host)}`" if is_local else "an object of the lake's store"
    show = command("report", result.run_id, lake=result.lake, open=True)
    report = as_code(result.report)
    return (
        f"## Report\n\n`{report}`, {where}. From a machine that reaches the lake:\n\n"
        f"```sh\n{clean(show)}\n```\n\n{lake}"
    )


def _again(result: Moderation) -> str:
    if result.again is None:
        return ""
    return f"## Run it again\n\n```sh\n{clean(result.again)}\n```"


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.4g}"
    return f"{value:,}" if isinstance(value, int) else _plain(str(value))


def _plain(text: str) -> str:
    """Return a text in which Markdown finds no markup."""
    line = clean(" ".join(text.split()))
    return "".join(f"\\{char}" if char in "\\`*_[]<>|#" else char for char in line)
