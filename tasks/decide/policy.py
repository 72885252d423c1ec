"""The policy file: which score clears, which flags, and what only people may decide.

Reading and checking only; `decide` applies it. A policy is identified by its rules, not
by its bytes: comments, order and spacing do not change `policy_id`.
"""

from __future__ import annotations

import decimal
import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

import numpy as np

from ...data.errors import ConfigError, shorten
from ...data.text.wording import did_you_mean, shown
from ...data.toml_file import read_toml

PACKAGED_POLICY: Final = Path(__file__).with_name("policy.toml")

_NAME_MAX_CHARS: Final = 64
_NAME: Final = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{_NAME_MAX_CHARS - 1}}}")
# Larger than any picture that is decoded.
_MAX_EDGE_PX: Final = 1_000_000
_TWO_DIGITS: Final = decimal.Context(prec=2, rounding=decimal.ROUND_CEILING)
# Below it exp would overflow, and the probability is 0 in float32.
_LOGIT_OF_ZERO: Final = -700.0
_TOP_KEYS: Final = ("name", "min_short_edge_px", "unlisted_domain", "default", "detectors")
_BAND_KEYS: Final = ("review_at", "flag_at")
_UNLISTED: Final = ("default", "review")


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """Two thresholds on the score, 0 <= review_at <= flag_at <= 1; equal means no review band."""

    review_at: float
    flag_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorRules:
    """The thresholds of one detector; `band` is None when it names domains only."""

    band: Band | None = None
    domains: Mapping[str, Band] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Every rule by which a score becomes a decision."""

    name: str
    min_short_edge_px: int
    unlisted_domain: str
    default: Band
    detectors: Mapping[str, DetectorRules]

    @property
    def policy_id(self) -> str:
        """`name@` and 12 hex digits of the sha256 of the rules."""
        rules = json.dumps(self.as_dict(), sort_keys=True, separators=(",", ":"))
        return f"{self.name}@{hashlib.sha256(rules.encode()).hexdigest()[:12]}"

    def band(self, detector: str, domain: str | None = None) -> tuple[Band, bool]:
        """The thresholds that hold, and whether they are the domain's own.

        An entry for the whole detector id (`name@revision`) wins over one for its name. The
        flag is True too for a picture without a domain: nothing is missing then.
        """
        rules = self.detectors.get(detector) or self.detectors.get(detector.partition("@")[0])
        general = (rules.band if rules else None) or self.default
        if domain is None:
            return general, True
        own = rules.domains.get(domain) if rules else None
        return (own, True) if own else (general, False)

    def widened(self, drift_logit: float) -> Policy:
        """The same rules with every review band wider by a drift of the logit on both sides.

        A picture whose logit drifts by no more is then never cleared where it would have been
        flagged, nor flagged where it would have been cleared.

        The thresholds 0 and 1 mean always and never, and stay.

        Args:
            drift_logit: 0 or more, infinity too; rounded up to two digits, so that a new
                measurement of the same thing is rarely another policy.

        Raises:
            ValueError: It is negative or NaN.
        """
        if not drift_logit >= 0:
            raise ValueError(f"drift_logit = {drift_logit!r}; allowed: 0 or more")
        if drift_logit == 0:
            return self
        drift = float(_TWO_DIGITS.create_decimal(repr(float(drift_logit))))
        suffix = f"-drift-{drift:g}".replace("+", "")
        return Policy(
            name=self.name[: _NAME_MAX_CHARS - len(suffix)] + suffix,
            min_short_edge_px=self.min_short_edge_px,
            unlisted_domain=self.unlisted_domain,
            default=_widened(self.default, drift),
            detectors={
                detector: DetectorRules(
                    band=None if rules.band is None else _widened(rules.band, drift),
                    domains={name: _widened(band, drift) for name, band in rules.domains.items()},
                )
                for detector, rules in self.detectors.items()
            },
        )

    def as_dict(self) -> dict[str, Any]:
        """The rules as plain values; `policy_from_dict` reads them back to an equal policy."""
        return {
            "name": self.name,
            "min_short_edge_px": self.min_short_edge_px,
            "unlisted_domain": self.unlisted_domain,
            "default": _plain(self.default),
            "detectors": {
                detector: _plain(rules.band)
                | {"domains": {domain: _plain(band) for domain, band in rules.domains.items()}}
                for detector, rules in self.detectors.items()
            },
        }


def _widened(band: Band, drift_logit: float) -> Band:
    return Band(
        review_at=_shifted(band.review_at, -drift_logit),
        flag_at=_shifted(band.flag_at, drift_logit),
    )


def _shifted(prob: float, by_logit: float) -> float:
    """The probability whose logit is so much larger, as a float32 that lies never short of it.

    0 and 1 stay what they are.
    """
    if prob in {0.0, 1.0}:
        return prob
    end = np.float32(1.0 if by_logit > 0 else 0.0)
    # Scores and thresholds are compared as float32. A step outwards before the move covers what
    # the score lost to rounding, one after it what the threshold does.
    near = float(np.nextafter(np.float32(prob), end))
    if near in {0.0, 1.0}:
        return near
    logit = math.log(near) - math.log1p(-near) + by_logit
    moved = 1 / (1 + math.exp(-logit)) if logit > _LOGIT_OF_ZERO else 0.0
    return float(np.nextafter(np.float32(moved), end))


def load_policy(path: Path | None = None) -> Policy:
    """Read a policy file, the packaged one when no path is given.

    Raises:
        ConfigError: The file cannot be read, is not TOML, has an unknown or missing key, or a
            value outside its range; the message names file, key, value, and what is allowed.
    """
    file = PACKAGED_POLICY if path is None else Path(path)
    try:
        values = read_toml(file)
    except OSError as error:
        raise ConfigError(
            f"policy {file}: cannot be read ({error.strerror}); "
            "give --policy a TOML file, or leave it out for the packaged one"
        ) from error
    except ValueError as error:
        raise ConfigError(
            f"policy {file}: is not TOML ({error}); correct it, or start from {PACKAGED_POLICY}"
        ) from error
    return policy_from_dict(values, source=str(file))


def policy_from_dict(values: Mapping[str, Any], *, source: str) -> Policy:
    """Check plain values and make the policy; `source` is what messages call the file.

    Raises:
        ConfigError: As for `load_policy`.
    """
    _only(values, _TOP_KEYS, source, "")
    name = _take(values, "name", source, "")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise _refusal(
            source,
            "name",
            name,
            "1 to 64 letters, digits, '.', '_' or '-', a letter or digit first",
        )
    short_edge = _take(values, "min_short_edge_px", source, "")
    is_whole = isinstance(short_edge, int) and not isinstance(short_edge, bool)
    if not is_whole or not 0 <= cast("int", short_edge) <= _MAX_EDGE_PX:
        allowed = f"a whole number from 0 to {_MAX_EDGE_PX}"
        raise _refusal(source, "min_short_edge_px", short_edge, allowed)
    unlisted = _take(values, "unlisted_domain", source, "")
    if unlisted not in _UNLISTED:
        raise _refusal(source, "unlisted_domain", unlisted, '"default" or "review"')
    return Policy(
        name=name,
        min_short_edge_px=cast("int", short_edge),
        unlisted_domain=unlisted,
        default=_band(_take(values, "default", source, ""), source, "default"),
        detectors={
            detector: _detector(rules, source, f'detectors."{detector}"')
            for detector, rules in _table(values.get("detectors", {}), source, "detectors").items()
        },
    )


def _detector(value: object, source: str, key: str) -> DetectorRules:
    table = _table(value, source, key)
    _only(table, (*_BAND_KEYS, "domains"), source, key)
    own = {name: table[name] for name in _BAND_KEYS if name in table}
    return DetectorRules(
        band=_band(own, source, key) if own else None,
        domains={
            domain: _band(band, source, f'{key}.domains."{domain}"')
            for domain, band in _table(table.get("domains", {}), source, f"{key}.domains").items()
        },
    )


def _band(value: object, source: str, key: str) -> Band:
    table = _table(value, source, key)
    _only(table, _BAND_KEYS, source, key)
    review_at, flag_at = (_share(table, name, source, key) for name in _BAND_KEYS)
    if review_at > flag_at:
        raise _refusal(
            source,
            f"{key}.review_at",
            review_at,
            f"at most {key}.flag_at, which is {flag_at}",
        )
    return Band(review_at=review_at, flag_at=flag_at)


def _share(table: Mapping[str, Any], name: str, source: str, key: str) -> float:
    value = _take(table, name, source, key)
    # A comparison with NaN is false; true and false are numbers in Python, but not here.
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
        raise _refusal(source, f"{key}.{name}", value, "a number from 0 to 1")
    return float(value)


def _table(value: object, source: str, key: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _refusal(source, key, value, f"a table, written [{key}]")
    return value


def _take(table: Mapping[str, Any], name: str, source: str, key: str) -> object:
    where = f"{key}.{name}" if key else name
    if name not in table:
        raise ConfigError(f"policy {source}: {where} is missing; add it, see {PACKAGED_POLICY}")
    return table[name]


def _only(table: Mapping[str, Any], allowed: tuple[str, ...], source: str, key: str) -> None:
    for name, value in table.items():
        if name not in allowed:
            where = f"{key}.{name}" if key else str(name)
            raise ConfigError(
                f"policy {source}: unknown key {shorten(where, 80)} = {shown(value)}; "
                f"allowed here: {', '.join(allowed)}; correct its spelling or remove it"
                f"{did_you_mean(name, allowed)}"
            )


def _refusal(source: str, key: str, seen: object, allowed: str) -> ConfigError:
    return ConfigError(
        f"policy {source}: {key} = {shown(seen)}; allowed: {allowed}; correct the file"
    )


def _plain(band: Band | None) -> dict[str, Any]:
    return {} if band is None else {"review_at": band.review_at, "flag_at": band.flag_at}
