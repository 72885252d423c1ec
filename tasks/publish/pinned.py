"""The inputs of a publication: table versions, score key and policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from ...data.errors import ConfigError
from ...data.schema import TABLES
from ...data.score_key import ScoreKey
from ...data.store.lake import Lake
from ..latest_rows import keyed_decisions, last_judgement


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinned:
    """The pinned inputs of a publication.

    Attributes:
        versions: Version per table; None for an empty table.
        key: Key of the scores; None if the lake has none.
        policy_id: Id of the policy; None if the lake has no decisions.
        labels_from_decisions: Whether images without evidence get their label from the decision.
    """

    versions: Mapping[str, int | None]
    key: ScoreKey | None
    policy_id: str | None
    labels_from_decisions: bool = False

    def scan(self, lake: Lake, table: str) -> pl.LazyFrame:
        """Return the rows of a table at its version; none for a table that was empty.

        Raises:
            StoreError: The table cannot be read, or its version was removed.
        """
        version = self.versions[table]
        if version is None:
            # A table that was empty then may have rows now.
            return pl.LazyFrame(schema=pl.Schema(TABLES[table]))
        return lake.scan(table, version)


def pin(
    lake: Lake,
    *,
    detector: str | None = None,
    precision: str | None = None,
    policy_id: str | None = None,
    key: ScoreKey | None = None,
    labels_from_decisions: bool = False,
    versions: Mapping[str, int | None] | None = None,
) -> Pinned:
    """Return the table versions, and the scores and decisions to publish.

    Args:
        lake: Lake of the images.
        detector: Detector of the scores, a name or an id in the tables; default: the one of the
            last run with decisions.
        precision: Precision of the scores in the tables, or `int8`; default: the one of that run.
        policy_id: Id of the policy of the decisions; default: the one of that run.
        key: Whole key of the scores, in place of detector and precision.
        labels_from_decisions: Whether images without evidence get their label from the decision.
        versions: Version per table; default: the latest ones.

    Raises:
        ConfigError: The lake has no scores or no decisions of that name.
        StoreError: The lake cannot be read.
    """
    if versions is None:
        versions = {table: lake.version(table) for table in TABLES}
    if key is not None:
        return Pinned(
            versions=versions,
            key=key,
            policy_id=policy_id,
            labels_from_decisions=labels_from_decisions,
        )
    requested = {"detector": detector, "precision": precision, "policy_id": policy_id}
    judgement = last_judgement(lake, **requested, versions=versions)
    if judgement is None and any(requested.values()):
        raise _unknown(lake, versions, requested)
    return Pinned(
        versions=versions,
        key=judgement.key if judgement else None,
        policy_id=judgement.policy_id if judgement else None,
        labels_from_decisions=labels_from_decisions,
    )


def _unknown(
    lake: Lake, versions: Mapping[str, int | None], requested: Mapping[str, str | None]
) -> ConfigError:
    """Return the error that names the requested scores or decisions and the available ones."""
    table = "decisions" if requested["policy_id"] else "scores"
    rows = keyed_decisions(lake, versions[table]) if requested["policy_id"] else lake.scan(table)
    columns = [name for name, value in requested.items() if value is not None]
    available = rows.select(columns).unique().sort(columns).collect().rows()
    named = ", ".join(f"{name.removesuffix('_id')} {requested[name]!r}" for name in columns)
    allowed = "; ".join(" with ".join(str(part) for part in row) for row in available)
    return ConfigError(f"no image of the lake has {table} by {named}; allowed: {allowed or 'none'}")
