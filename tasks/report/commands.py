"""Commands on the report: what to do next, valid as pasted from any folder."""

from __future__ import annotations

from ...data.commands import command
from ...data.vocabulary import Decision
from ..runs.run_record import RunRecord
from .facts import ReportFacts


def review_command(run: RunRecord, lake_uri: str) -> str:
    """Return the command that opens the review page on a run.

    Args:
        run: Record of the run.
        lake_uri: Address of the lake.
    """
    return command("review", "serve", run=run.run_id, lake=lake_uri)


def next_commands(run: RunRecord, lake_uri: str, facts: ReportFacts) -> list[tuple[str, str]]:
    """Return commands that go on from the run, each with what it does.

    Args:
        run: Record of the run.
        lake_uri: Address of the lake.
        facts: Figures of the run.
    """
    commands = []
    if facts.nearest:
        image_id = facts.nearest[0]["image_id"][:12]
        commands.append(
            (
                "all rows about the image nearest to its flag threshold",
                command("show", image_id, lake=lake_uri),
            )
        )
    if facts.decisions.get(Decision.FLAG.value):
        commands.append(
            (
                "a table of the flagged images",
                command("export", decision="flag", run=run.run_id, to="flagged.csv", lake=lake_uri),
            )
        )
    if facts.rejected:
        # Of all batches: an id in quotes would be quoted once more for the shell.
        rows = "select batch_id, source_uri, reason, detail from sightings where image_id is null"
        commands.append(
            (
                "all rejected items of the lake, with the batch of each",
                command("query", rows, format="csv", lake=lake_uri),
            )
        )
    # Taken from the record, the only place with all settings of the run.
    if isinstance(again := run.params.get("command"), str):
        commands.append(("the same run again: reads and scores only new items", again))
    if facts.n_images:
        commands.append(
            (
                "a labelled dataset; near-duplicates stay in one split",
                command("publish", to="dataset", lake=lake_uri),
            )
        )
    commands.append(("this report again", command("report", run.run_id, lake=lake_uri)))
    return commands
