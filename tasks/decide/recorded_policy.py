"""The policy behind an id in the tables, from the records of runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import polars as pl

from ...data.errors import ConfigError
from ...data.store.lake import Lake
from ..latest_rows import of_record
from .policy import Policy
from .policy_file import load_policy, policy_from_dict

_PACKAGED: Final = "default"
# Rules that the packaged policy has since version 0.3, and may be given up for those of before.
_ADDED: Final = ("copies", "pixels")


def earlier_packaged(lake: Lake) -> str | None:
    """Return the policy id of the lake's last run, if an earlier version packaged that policy.

    Args:
        lake: Lake of the runs.

    Raises:
        StoreError: The records cannot be read.
    """
    rows = (
        lake.scan("runs")
        .filter(of_record("policy_id").is_not_null())
        .select("params", at=pl.coalesce("finished_at", "started_at"))
        .top_k(1, by="at")
        .collect()
    )
    params: dict[str, Any] = json.loads(rows["params"][0]) if rows.height else {}
    rules = params.get("policy_rules")
    if not isinstance(rules, dict) or any(name in rules for name in _ADDED):
        return None
    # Under int8, bf16 or fp16 the name ends with the drift.
    is_packaged = str(rules.get("name")).partition("-drift-")[0] == _PACKAGED
    return str(params["policy_id"]) if is_packaged else None


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
