"""The policy behind an id in the tables, from the records of runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import polars as pl

from ...data.errors import ConfigError
from ...data.store.lake import Lake
from ..latest_rows import of_record
from .policy import Policy
from .policy_file import load_policy, policy_from_dict


def recorded_policy(lake: Lake, policy_id: str) -> Policy | None:
    """Return the policy of an id: that of the last run with it, else the packaged one, else None.

    Args:
        lake: Lake of the runs.
        policy_id: Id of the policy in decisions and records of runs.

    Raises:
        StoreError: The records cannot be read.
    """
    rows = (
        lake.scan("runs")
        .filter(of_record("policy_id") == policy_id)
        .select("params", at=pl.coalesce("finished_at", "started_at"))
        .top_k(1, by="at")
        .collect()
    )
    params: dict[str, Any] = json.loads(rows["params"][0]) if rows.height else {}
    return policy_of_record(params, policy_id)


def policy_of_record(params: Mapping[str, Any], policy_id: str | None) -> Policy | None:
    """Return the policy of an id: that in the record of a run, else the packaged one, else None.

    Args:
        params: Settings and identities of the run.
        policy_id: Id of the policy.
    """
    candidates = []
    try:
        if isinstance(params.get("policy_rules"), dict):
            candidates.append(policy_from_dict(params["policy_rules"], source="run"))
        candidates.append(load_policy())
    except ConfigError:
        return None
    return next((policy for policy in candidates if policy.policy_id == policy_id), None)
