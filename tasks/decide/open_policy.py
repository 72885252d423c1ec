"""The text of a policy file in which two thresholds are open, to be filled in and copied."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from .policy import Policy

REVIEW_AT: Final = "REVIEW_AT"
FLAG_AT: Final = "FLAG_AT"
_OPEN: Final = {"review_at": REVIEW_AT, "flag_at": FLAG_AT}


def open_policy(policy: Policy, *, detector: str, domain: str | None = None) -> str:
    """Return a policy file in TOML with the words `REVIEW_AT` and `FLAG_AT` for two thresholds.

    They stand alone in their lines, since the name of a domain may hold the same words. All other
    rules are those of the policy, but the share of false flags in a batch, which would stand above
    the thresholds.

    Args:
        policy: Policy whose other rules are kept.
        detector: Id of the detector.
        domain: Domain whose thresholds are open; None for those of all images whose domain has
            none of its own.
    """
    rules = policy.as_dict()
    name = detector.partition("@")[0]
    # An entry for the id wins over one for the name, so that the change goes where it counts.
    key = detector if detector in rules["detectors"] else name
    entry = rules["detectors"].pop(key, {"domains": {}})
    if domain is not None:
        entry["domains"] |= {domain: _OPEN}
    else:
        entry = {**_OPEN, "domains": entry["domains"]}
    lines = [
        f"{name} = {_toml(value)}"
        for name, value in rules.items()
        if name not in {"default", "detectors", "fdr", "pixels"}
    ]
    if pixels := rules.get("pixels"):
        lines += ["", "[pixels]", *_lines(pixels)]
    lines += ["", "[default]", *_lines(rules["default"])]
    for known, values in (*rules["detectors"].items(), (key, entry)):
        if own := {name: value for name, value in values.items() if name != "domains"}:
            lines += ["", f"[detectors.{_toml(known)}]", *_lines(own)]
        for place, band in values["domains"].items():
            lines += ["", f"[detectors.{_toml(known)}.domains.{_toml(place)}]", *_lines(band)]
    return "\n".join(lines) + "\n"


def _lines(values: Mapping[str, Any]) -> list[str]:
    return [
        f"{name} = {value if value in _OPEN.values() else _toml(value)}"
        for name, value in values.items()
    ]


def _toml(value: Any) -> str:
    """Return a text, a number or a boolean in TOML."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
