"""A calibrated policy as the text of a TOML file: the rules, and what each rests on."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from typing import Any

from ..decide.calibration import POOLED
from ..decide.policy import Band, PixelRules
from .calibrate import CalibrateResult
from .thresholds import Thresholds

_COLUMNS = 96


def policy_text(result: CalibrateResult) -> str:
    """Return the policy of a calibration as TOML with comments, to be reviewed by a person."""
    policy = result.policy
    lines = [
        *_comment(
            f"Thresholds from {result.calibration.facts['n_reals']:,} labelled real images and"
            f" {result.calibration.facts['n_fakes']:,} fake ones, one per group of copies."
        ),
        *_comment(f"Scores by {result.calibration.key.describe()}."),
        *_comment(result.guarantee.sentence()),
        *_comment(
            "This holds for images that are drawn like the labelled real ones: other sources,"
            " other encoders or a later time may break it. Calibrate again when they change."
        ),
        "",
        f"name = {_toml(policy.name)}",
        f"calibration = {_toml(policy.calibration)}",
        *([] if policy.fdr is None else [f"fdr = {_toml(policy.fdr)}"]),
        f"min_short_edge_px = {_toml(policy.min_short_edge_px)}",
        f"unlisted_domain = {_toml(policy.unlisted_domain)}",
        *([] if policy.copies == "alone" else [f"copies = {_toml(policy.copies)}"]),
        *_pixels(policy.pixels),
        "",
        "# Every detector without thresholds of its own; not calibrated.",
        "[default]",
        *_band(policy.default),
    ]
    for detector, rules in policy.detectors.items():
        is_ours = detector == result.calibration.key.detector
        if rules.band is not None:
            lines += ["", *(_facts(result, POOLED) if is_ours else ())]
            lines += [f"[detectors.{_toml(detector)}]", *_band(rules.band)]
        for domain, band in rules.domains.items():
            lines += ["", *(_facts(result, domain) if is_ours else ())]
            lines += [f"[detectors.{_toml(detector)}.domains.{_toml(domain)}]", *_band(band)]
    return "\n".join(lines) + "\n"


def _facts(result: CalibrateResult, domain: str | None) -> Iterator[str]:
    """Yield comments on what the thresholds of a domain rest on."""
    own = result.thresholds.get(domain)
    if own is None:
        yield from _comment(
            f"Domain with {result.too_few.get(domain or '', 0):,} labelled real images, too few for"
            " thresholds of its own: those of all domains together. No guarantee for it alone."
        )
        own = result.thresholds[POOLED]
    for line in lines_of(own):
        yield from _comment(line)


def lines_of(thresholds: Thresholds) -> list[str]:
    """Return what thresholds rest on and what they find, as sentences."""
    lines = [f"{thresholds.n_reals:,} real and {thresholds.n_fakes:,} fake images."]
    if thresholds.why_no_flag is not None:
        lines.append(f"No automatic flag: {thresholds.why_no_flag}.")
    if thresholds.found is not None:
        lines.append(f"Of the labelled fakes, {thresholds.found.text()} are flagged.")
    for prevalence, precision in thresholds.precision.items():
        lines.append(
            f"Where {100 * float(prevalence):g} % of the images are fake, {precision.text()} of"
            " the flagged are."
        )
    return lines


def _band(band: Band) -> list[str]:
    lines = [f"review_at = {_toml(band.review_at)}", f"flag_at = {_toml(band.flag_at)}"]
    return lines if band.may_flag else [*lines, "may_flag = false"]


def _pixels(rules: PixelRules | None) -> list[str]:
    if rules is None:
        return []
    values = rules.model_dump(exclude_none=True)
    return ["", "[pixels]", *(f"{name} = {_toml(value)}" for name, value in values.items())]


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(text, _COLUMNS)]


def _toml(value: Any) -> str:
    """Return a value in TOML; JSON escapes everything that TOML requires except one character."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
