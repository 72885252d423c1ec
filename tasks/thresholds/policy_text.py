"""The text of a policy file with other thresholds, to be copied from a page."""

from __future__ import annotations

import json
from collections.abc import Mapping

from ..decide.policy import Policy

REVIEW_AT = "REVIEW_AT"
FLAG_AT = "FLAG_AT"
_OPEN = (f"review_at = {REVIEW_AT}", f"flag_at = {FLAG_AT}")


def policy_template(policy: Policy, *, detector: str, domain: str | None) -> str:
    """Return a policy file in TOML in which two thresholds are to be filled in.

    The words `REVIEW_AT` and `FLAG_AT` stand for the thresholds of the detector, or of one domain
    under it; all other rules are those of the policy.

    Args:
        policy: Policy whose other rules are kept.
        detector: Id of the detector.
        domain: Domain whose thresholds are open; None for the detector's own.
    """
    name = detector.partition("@")[0]
    rules = {key: dict(value) for key, value in policy.as_dict()["detectors"].items()}
    # An entry for the id wins over one for the name, so that the change goes where it counts.
    key = detector if detector in rules else name
    entry = rules.setdefault(key, {"domains": {}})
    entry["domains"] = dict(entry.get("domains", {}))
    opened = {"review_at": REVIEW_AT, "flag_at": FLAG_AT}
    if domain is None:
        entry |= opened
    else:
        entry["domains"][domain] = opened
    lines = [
        f"name = {_text(policy.name)}",
        f"min_short_edge_px = {policy.min_short_edge_px}",
        f"unlisted_domain = {_text(policy.unlisted_domain)}",
        "",
        "[default]",
        *_band(policy.as_dict()["default"]),
    ]
    for known, values in rules.items():
        if "review_at" in values:
            lines += ["", f"[detectors.{_text(known)}]", *_band(values)]
        for own, band in values["domains"].items():
            lines += ["", f"[detectors.{_text(known)}.domains.{_text(own)}]", *_band(band)]
    return "\n".join(lines) + "\n"


def policy_text(template: str, *, review_at: float, flag_at: float) -> str:
    """Return the policy file with its two thresholds."""
    # Whole lines: the name of a domain may hold the same words.
    lines = {_OPEN[0]: f"review_at = {review_at!r}", _OPEN[1]: f"flag_at = {flag_at!r}"}
    return "\n".join(lines.get(line, line) for line in template.split("\n"))


def _band(values: Mapping[str, object]) -> list[str]:
    return [f"{name} = {values[name]}" for name in ("review_at", "flag_at")]


def _text(text: str) -> str:
    """Return a basic string of TOML."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
