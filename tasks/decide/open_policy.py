"""The text of a policy file in which two thresholds are open, to be filled in and copied."""

from __future__ import annotations

from typing import Any, Final

from ...data.toml_file import toml_value
from .policy import Policy
from .policy_toml import policy_toml


class _Open(str):
    """Word in place of a threshold; a name with the same letters is none."""

    __slots__ = ()


REVIEW_AT: Final = _Open("REVIEW_AT")
FLAG_AT: Final = _Open("FLAG_AT")
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
    kept = {name: rule for name, rule in rules.items() if name != "fdr"}
    # The open thresholds come last.
    kept["detectors"] = rules["detectors"] | {key: entry}
    return policy_toml(kept, value_text=_text)


def _text(value: Any) -> str:
    return str(value) if isinstance(value, _Open) else toml_value(value)
