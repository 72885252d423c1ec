"""Artifact of a published dataset on the page of its flow run."""

from __future__ import annotations

import logging
import socket
from typing import Any

import httpx
from prefect.artifacts import create_markdown_artifact
from prefect.exceptions import PrefectException

from ...data.errors import shorten
from ...data.text.wording import counted
from ...tasks.publish.publish import PublishResult
from .artifacts import as_code, markdown_table

_log = logging.getLogger(__name__)


def write_dataset_artifact(published: PublishResult) -> None:
    """Write the summary of a dataset; a server that refuses it does not fail the run."""
    try:
        create_markdown_artifact(
            key="assay-publish",
            markdown=dataset_markdown(published, host=socket.gethostname()),
            description=f"Dataset {published.out}: rows, splits, labels, versions of the tables",
        )
    except (httpx.HTTPError, PrefectException) as error:
        _log.warning("the dataset is complete, its artifact is not: %s", shorten(str(error)))


def dataset_markdown(published: PublishResult, *, host: str) -> str:
    """Return the summary of a dataset in Markdown.

    Args:
        published: Result of the publication.
        host: Name of the machine on which local paths are valid.
    """
    where = "" if "://" in published.out else f", a folder on `{as_code(host)}`"
    scores = "none" if published.key is None else published.key.describe()
    counts: dict[str, dict[str, Any]] = {
        "split": published.splits,
        "label": published.labels,
    }
    parts = [
        f"# Dataset of {counted(sum(published.splits.values()), 'image')}",
        f"`{as_code(published.out)}`{where}.",
        *(markdown_table((name, "rows"), of_each.items()) for name, of_each in counts.items()),
        published.split_note or "",
        f"Groups of near-duplicates: {published.groups:,}. Scores: `{as_code(scores)}`."
        f" Policy: `{as_code(published.policy_id or 'none')}`.",
        "## Versions of the lake's tables",
        markdown_table(
            ("table", "version"),
            ((name, "empty" if n is None else n) for name, n in published.versions.items()),
        ),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"
