"""A calibrated policy as the text of a TOML file: the rules, and what each rests on."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator

from ...data.text.wording import counted
from ..decide.calibration import POOLED
from ..decide.policy_toml import policy_toml
from ..proportion import Interval
from .calibrate import CalibrateResult
from .guarantee import LIMITS
from .thresholds import Thresholds

_COLUMNS = 96


def policy_text(result: CalibrateResult) -> str:
    """Return the policy of a calibration as TOML with comments, to be reviewed by a person."""
    about = [
        *_comment(
            f"Thresholds from {result.calibration.facts['n_reals']:,} labelled real images and"
            f" {counted(result.calibration.facts['n_fakes'], 'fake one')}, one per group of copies."
        ),
        *_comment(f"Scores by {result.calibration.key.describe()}."),
        *_comment(f"{result.guarantee.of_all(result.calibration.facts['n_reals'])} {LIMITS}"),
        "",
    ]

    def above(*table: str) -> Iterable[str]:
        if table == ("default",):
            return ["# Every detector without thresholds of its own; not calibrated."]
        if table == ("out_of_domain",):
            return (line for text in domain_lines(result) for line in _comment(text))
        if table[:2] == ("detectors", result.calibration.key.detector):
            return _facts(result, table[3] if len(table) > 3 else POOLED)
        return ()

    return "\n".join(about) + "\n" + policy_toml(result.policy.as_dict(), above=above)


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
    lines = [f"{thresholds.n_reals:,} real and {counted(thresholds.n_fakes, 'fake image')}."]
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


def domain_lines(result: CalibrateResult) -> list[str]:
    """Return what the rule on images unlike the labelled ones rests on, or why there is none."""
    rule = result.policy.out_of_domain
    if rule is None:
        return [
            "No rule on images unlike the labelled ones: "
            + (
                "too few labelled real images have an embedding."
                if result.calibration.embeddings
                else "the scores have no embeddings."
            )
        ]
    facts = result.calibration.facts["out_of_domain"][""]
    lines = [
        f"Images unlike {facts['n_reals']:,} labelled real and"
        f" {counted(facts['n_fakes'], 'fake image')}, by"
        " their embeddings: what would be flagged goes to people. Of real images like the labelled"
        f" ones, {100 * rule.level:g} % on average are called unlike them."
    ]
    if facts["fakes"] is not None:
        share = Interval(**facts["fakes"]).text()
        lines.append(f"Of the labelled fakes, each compared with the others, {share} are.")
    return lines


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(text, _COLUMNS)]
