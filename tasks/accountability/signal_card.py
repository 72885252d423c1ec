"""The signal card: what a detector may do alone under a policy, and what only routes to a person.

It states measured limits on the images of the lake, and says what was not measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...data.score_key import ScoreKey
from ...data.store.lake import Lake
from ...data.text.wording import counted
from ...data.vocabulary import Decision
from ..decide.calibration import Calibration, find_calibration
from ..decide.policy import Band, Policy
from ..detector.weights.registry import card_by_weights
from ..hashes.known_hashes import lists_of
from ..latest_rows import latest_decisions
from ..promise.promise import promise_of
from ..promise.words import statement_of
from .measured_limits import measured_limits


def signal_card(lake: Lake, policy: Policy, key: ScoreKey) -> str:
    """Return the card as Markdown.

    Args:
        lake: Lake of the calibration and the decisions.
        policy: Policy of the decisions.
        key: Key of the scores.

    Raises:
        ConfigError: The lake does not have the calibration that the policy names.
        StoreError: The lake cannot be read.
    """
    calibration = None if policy.calibration is None else find_calibration(lake, policy.calibration)
    lines = [
        f"# Signal card: {key.detector} under {policy.policy_id}",
        "",
        "- Signal: the probability in [0, 1] that the whole image is AI-generated, by"
        f" {key.describe()}.",
        f"- Policy: `{policy.policy_id}`; calibration:"
        f" {'none' if policy.calibration is None else f'`{policy.calibration}`'}.",
        "",
        "## What it may do alone",
        "",
        *_alone(policy, key),
        f"- {statement_of(promise_of(lake, policy, key))}",
        "",
        "## What only routes to a person",
        "",
        *_routes(lake, policy),
        "",
        "## Measured limits on your images",
        "",
        *(_not_measured() if calibration is None else _measured(calibration)),
        "",
        *measured_limits(lake, policy.policy_id, key),
        "",
        "## The detector",
        "",
        *_detector(key),
        "",
        "## Decisions so far",
        "",
        *_decisions(lake, policy, key),
    ]
    return "\n".join(lines) + "\n"


def _bands(policy: Policy, key: ScoreKey) -> Iterator[tuple[str, Band]]:
    """Yield the thresholds that apply to a detector: of all domains, then of each with its own."""
    yield "all other domains", policy.band(key.detector)[0]
    rules = policy.rules_of(key.detector)
    yield from () if rules is None else rules.domains.items()


def _alone(policy: Policy, key: ScoreKey) -> Iterator[str]:
    if policy.fdr is not None:
        yield (
            "- Flag the images of a batch by their p-values, so that at most"
            f" {100 * policy.fdr:g} % of the flagged are real on average."
        )
    for name, band in _bands(policy, key):
        if not band.may_flag:
            yield f"- {name}: nothing is flagged without a person."
        elif policy.fdr is None:
            yield f"- {name}: flag at a score of {band.flag_at:.4f} or more."
    yield (
        f"- Clear below the review threshold ({policy.band(key.detector)[0].review_at:.4f} unless a"
        " domain has its own), if nothing below speaks against it."
    )


def _routes(lake: Lake, policy: Policy) -> Iterator[str]:
    yield "- A score between the two thresholds."
    yield f"- A short edge below {policy.min_short_edge_px} px, or no score."
    pixels = {} if policy.pixels is None else policy.pixels.model_dump(exclude_none=True)
    for name, limit in pixels.items():
        if name == "graphics":
            if limit == "review":
                yield "- A flag of a graphic, by its flat areas and few colours."
        else:
            yield f"- Pixels or a file below `{name} = {limit:g}`."
    yield "- A score that does not hold when the image is saved again, in runs with `--delivery`."
    if policy.copies == "together":
        yield "- What a copy is decided as: by its reviewed member, else by the best preserved one."
    yield (
        "- A declaration of AI origin in the metadata, a tile at or above the flag threshold, or an"
        " image that viewers may show differently: never cleared."
    )
    if policy.out_of_domain is not None:
        yield (
            "- An image at or above the flag threshold that is unlike the labelled images of the"
            f" calibration (p-value of its distance at most {policy.out_of_domain.level:g})"
            f"{', and a cleared one' if policy.out_of_domain.clears == 'review' else ''}."
        )
    if policy.unlisted_domain == "review":
        yield "- A domain without thresholds of its own."
    for name, n_hashes, n_flag in (
        lists_of(lake).select("list_name", "n_hashes", "n_flag").iter_rows()
    ):
        yield (
            f"- Whatever its score, an image near to a hash of the list {name}: {n_flag:,} of its"
            f" {counted(n_hashes, 'hash flags', 'hashes flag')}, the others send to review."
        )
    yield (
        "- Local edits and face swaps: the detector sees the centre square as one whole, and is at"
        " chance on them."
    )


def _not_measured() -> Iterator[str]:
    yield (
        "No calibration: no threshold was measured on your images. Label some, and run"
        " `assay calibrate`: 299 real ones for at most 1 % false flags at 95 % confidence, 59 for"
        " 5 %."
    )


def _measured(calibration: Calibration) -> Iterator[str]:
    facts = calibration.facts
    yield (
        f"From {facts['n_reals']:,} labelled real and"
        f" {counted(facts['n_fakes'], 'fake image')}, one per"
        " group of copies. Intervals are of 95 %."
    )
    yield ""
    yield "| domain | real | fake | flag from | fakes found | right at 1 % fakes | at 10 % |"
    yield "|---|---|---|---|---|---|---|"
    for domain, row in facts["thresholds"].items():
        precision = row["precision"]
        flag = row["why_no_flag"] or ("per batch" if row["flag_at"] is None else row["flag_at"])
        yield (
            f"| {domain or 'all'} | {row['n_reals']:,} | {row['n_fakes']:,}"
            f" | {flag if isinstance(flag, str) else f'{flag:.4f}'} | {_interval(row['found'])}"
            f" | {_interval(precision.get('0.01'))} | {_interval(precision.get('0.1'))} |"
        )
    for domain, n_reals in facts["too_few"].items():
        yield ""
        yield f"Domain {domain}: {n_reals:,} labelled real images, too few for its own thresholds."
    if measured := facts["reliability"]:
        yield ""
        yield (
            f"Calibrated probabilities ({facts['method']}): expected calibration error"
            f" {_interval(measured['ece'])}, Brier score {measured['brier']:.3f}."
        )


def _detector(key: ScoreKey) -> Iterator[str]:
    card = card_by_weights(key.weights_sha256)
    if card is None:
        yield "Its weights are not registered; `assay models card` prints its own card, if any."
        return
    yield f"- Known errors: {card.limits}"
    yield f"- Licence: {card.weights_licence}; training data: {card.data_licence}."
    for figure in card.published:
        yield f"- Published by {figure.source}: {figure.what}: {figure.value}."
    if not card.may_act_alone:
        yield (
            "- No published error rates let it decide alone: what it may do alone above rests on"
            " the policy and its calibration."
        )


def _interval(values: dict[str, Any] | None) -> str:
    if values is None:
        return "not measured"
    value, low, high = (100 * values[name] for name in ("value", "low", "high"))
    return f"{value:.1f} % ({low:.1f} to {high:.1f} %)"


def _decisions(lake: Lake, policy: Policy, key: ScoreKey) -> Iterator[str]:
    rows = latest_decisions(lake, key, policy_id=policy.policy_id)
    counts = dict(rows.group_by("decision").len().collect().iter_rows())
    total = sum(counts.values())
    if not total:
        yield "None yet under this policy."
        return
    for decision in Decision:
        n_images = counts.get(decision.value, 0)
        yield f"- {decision.value}: {n_images:,} ({n_images / total:.1%})"
