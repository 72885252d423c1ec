"""The report as one HTML file: no requests, one script allowed by its hash, outside text escaped.

Without scripts the page has all figures, the chosen images and the commands; the script adds the
grid and the sliders.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final

from ...data.vocabulary import Decision, DecisionReason, Reason
from ..calibrate.guarantee import LIMITS
from ..decide.policy import Policy
from ..drift.of_run import drift_of_record
from ..pages import scripts
from ..pages.captions import SIGNS, cut, score_text, short_name, visible
from ..pages.environment import environment
from ..pages.histogram import LEFT_PX, histogram_svg
from ..pages.packed import pack
from ..pages.reliability import reliability_svg
from ..pages.thumbnails import Thumbnail
from ..promise.promise import PREVALENCES, Promise
from ..promise.words import flagged_words, sentence_of
from ..rejections import remedy_of
from ..runs.run_record import RunRecord
from .commands import next_commands, review_command
from .domain_promises import by_domain
from .facts import ReportFacts
from .pairs import Pair
from .run_details import tiles_of, what_ran
from .sections import Sections
from .thresholds import CELL_COLUMNS, DECISIONS, LABELS, NO_DOMAIN

_MAX_SOURCES: Final = 4
_OWN: Final = Path(__file__).parent / "script"
_MODULES: Final = (
    *(scripts.SHARED / f"{name}.js" for name in ("elements", "names", "columns", "recount")),
    *(_OWN / f"{name}.js" for name in ("slider", "rows", "filters", "card", "grid", "main")),
)

# Notes in captions. Reasons that follow from the score alone are left out: the score is there.
_NOTES: Final = {
    DecisionReason.VIEW_ABOVE_FLAG: "one tile scores high",
    DecisionReason.LOW_RESOLUTION: "low resolution",
    DecisionReason.DECLARED_AI: "metadata declares it AI-generated",
    DecisionReason.NOT_AS_SEEN: "viewers may show another image",
}
_KEYS: Final = (
    ("← → ↑ ↓", "next image in that direction"),
    ("Home End", "first or last image of the page"),
    ("Enter", "show or hide the image"),
    ("X or space", "select the image"),
    ("C", "copy its id"),
    ("N P", "next or previous page"),
    ("H", "hide all images"),
    ("/", "filter by text"),
    ("?", "these keys"),
)


def render_page(
    run: RunRecord,
    lake_uri: str,
    facts: ReportFacts,
    policy: Policy | None,
    thumbs: Mapping[str, Thumbnail],
    sections: Sections,
) -> str:
    """Return the page as HTML.

    Args:
        run: Record of the run.
        lake_uri: Address of the lake, for the commands on the page.
        facts: Figures of the run.
        policy: Policy with the thresholds; None leaves them out of the histogram.
        thumbs: Thumbnails by image_id; a missing one is said to be missing.
        sections: Sections beyond the figures.
    """
    band = policy.band(run.detector_id)[0] if policy and run.detector_id else None
    sources = [str(source) for source in run.params.get("sources") or []]
    n_decided = sum(facts.decisions.values())
    galleries = _galleries(facts, sections, thumbs)
    n_rows = sections.grid.packed.n_rows
    return (
        environment(Path(__file__).parent)
        .get_template("report.html.jinja")
        .render(
            run=run,
            facts=facts,
            sections=sections,
            band=band,
            signs=SIGNS,
            links=_links(run, facts, sections),
            started=f"{run.started_at:%Y-%m-%d %H:%M:%S} UTC",
            sources=[cut(source) for source in sources[:_MAX_SOURCES]],
            n_more_sources=len(sources[_MAX_SOURCES:]),
            tiles=tiles_of(run, facts),
            n_decided=n_decided,
            decisions=[
                (name, n, f"{n / n_decided:.1%}" if n_decided else "")
                for name, n in facts.decisions.items()
            ],
            reasons=_reasons(facts.reasons),
            failures=[
                (Reason.text_of(name), remedy_of(name), n) for name, n in facts.failures.items()
            ],
            confusion=facts.confusion,
            histogram_wide=histogram_svg(facts.histogram, band, width_px=1090),
            histogram_narrow=histogram_svg(facts.histogram, band, width_px=340, n_bins=20),
            no_domain=NO_DOMAIN,
            **_promised(sections, facts),
            drift=drift_of_record(run.counts),
            **galleries,
            is_veiled=bool(thumbs) and not any(thumb.sharp for thumb in thumbs.values()),
            is_sample=n_rows < sections.n_images,
            n_rows=n_rows,
            n_thumbs=len({row["image_id"] for rows in galleries.values() for row in rows}),
            address_chars=sections.grid.address_chars,
            keys=_KEYS,
            pairs=[_beside(pair, thumbs) for pair in sections.pairs],
            n_pairs=sum(sections.n_pairs.values()),
            rejected=[
                (reason, Reason.text_of(reason), remedy_of(reason), n, examples)
                for reason, (n, examples) in facts.rejected.items()
            ],
            n_copies=facts.statuses.get("duplicate", 0),
            what_ran=what_ran(run, lake_uri, facts),
            plain=("time", "versions"),
            review_command=review_command(run, lake_uri),
            commands=next_commands(run, lake_uri, facts),
            script=scripts.joined(*_MODULES),
            **_data(sections, facts),
        )
    )


def _data(sections: Sections, facts: ReportFacts) -> dict[str, Any]:
    """Return what the script reads: values for JSON, and the packed columns."""
    cells = pack(
        sections.cells.height, {name: sections.cells[name].to_numpy() for name in CELL_COLUMNS}
    )
    return {
        "page_data": {
            "signs": SIGNS,
            "decisions": DECISIONS,
            "labels": LABELS,
            "counts": [facts.decisions.get(name, 0) for name in DECISIONS],
            "steps": sections.steps.tolist(),
            "band": [sections.band.review_at, sections.band.flag_at],
            "groups": [
                [
                    visible(group.name),
                    group.n_images,
                    group.review_step,
                    group.flag_step,
                    own,
                    policy,
                ]
                for group, own, policy in zip_longest(
                    sections.groups, sections.own, sections.policies[:-1]
                )
            ],
            "policy": sections.policies[-1] if sections.policies else None,
            "cells": cells.columns,
            "grid": sections.grid.head() | {"flag_at": sections.flag_at},
            "plot_left": LEFT_PX,
        },
        "cell_data": cells.data,
        "grid_data": sections.grid.packed.data,
    }


def _promised(sections: Sections, facts: ReportFacts) -> dict[str, Any]:
    """Return the names of the section on the promise of the thresholds."""
    promise = sections.promise
    if promise is None:
        return {"promise": None}
    measured = promise.reliability
    return {
        "promise": promise,
        "promise_text": sentence_of(promise),
        "promise_limits": LIMITS if promise.is_given else "",
        "promise_here": flagged_words(
            promise, facts.n_scored, facts.decisions.get(Decision.FLAG.value, 0)
        ),
        "prevalences": PREVALENCES,
        "measured": _measured(promise, sections),
        "domain_promises": by_domain(promise, sections.domains) if promise.thresholds else [],
        "diagram": None if measured is None else reliability_svg(measured.bins),
    }


def _measured(promise: Promise, sections: Sections) -> list[dict[str, Any]]:
    """Return the measures of the thresholds that images of the run have."""
    domains = {None, *(row.name for row in sections.domains)}
    return [
        {
            "domain": one.domain,
            "n_reals": one.n_reals,
            "n_fakes": one.n_fakes,
            "found": one.found,
            "precision": one.precision(),
            "audited": one.audited(promise.audit),
        }
        for one in promise.thresholds
        if one.found is not None and one.domain in domains
    ]


def _links(run: RunRecord, facts: ReportFacts, sections: Sections) -> list[tuple[str, str]]:
    has_domains = [row.name for row in sections.domains] not in ([], [NO_DOMAIN])
    links = {
        "decisions": ("Decisions", True),
        "scores": ("Scores", True),
        "promise": ("What the threshold promises", sections.promise is not None),
        "drift": ("Drift", bool(drift_of_record(run.counts))),
        "domains": ("Domains", has_domains),
        "images": ("Images", facts.n_images > 0),
        "pairs": ("Made images", bool(sections.pairs)),
        "rejected": ("Rejected", run.batch_id is not None),
        "review": ("Review", True),
        "run": ("Run details", True),
        "commands": ("Next commands", True),
    }
    return [(anchor, name) for anchor, (name, is_there) in links.items() if is_there]


def _reasons(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Return texts and counts in the order of `DecisionReason`, in which notes come last."""
    known = [reason for reason in DecisionReason if reason in counts]
    # Reasons of later versions are shown as they are.
    others = sorted(set(counts) - set(DecisionReason))
    return [(DecisionReason.text_of(word), counts[word]) for word in (*known, *others)]


def _galleries(
    facts: ReportFacts, sections: Sections, thumbs: Mapping[str, Thumbnail]
) -> dict[str, list[dict[str, Any]]]:
    """Return the images of each gallery by name, each image in the first one that has it."""
    chosen = {
        "all_images": sections.all_images,
        "highest": facts.highest,
        "mistakes": sections.mistakes,
        "nearest": facts.nearest,
        "lowest": facts.lowest,
    }
    seen: set[str] = set()
    galleries = {}
    for name, rows in chosen.items():
        fresh = [row for row in rows if row["image_id"] not in seen]
        seen.update(row["image_id"] for row in fresh)
        galleries[name] = [_captioned(row, thumbs) for row in fresh]
    return galleries


def _captioned(row: Mapping[str, Any], thumbs: Mapping[str, Thumbnail]) -> dict[str, Any]:
    return {
        "image_id": row["image_id"],
        "uri": cut(row["source_uri"] or ""),
        "name": short_name(row["source_uri"])[:120],
        "score": score_text(row["prob_fake"]),
        "decision": row["decision"],
        "notes": [f"labelled {row['label']}"] * bool(row["label"])
        + [text for reason, text in _NOTES.items() if reason in (row["reasons"] or ())],
        "thumb": thumbs.get(row["image_id"]),
    }


def _beside(pair: Pair, thumbs: Mapping[str, Thumbnail]) -> dict[str, Any]:
    return {
        "image_id": pair.image_id,
        "parent_id": pair.parent_id,
        "method": pair.method,
        "changes": pair.changes,
        "label": pair.label,
        "decision": pair.decision,
        "logit_change": pair.logit_change,
        "score": score_text(pair.prob_fake),
        "parent_score": score_text(pair.parent_prob),
        "parent_name": short_name(pair.parent_uri)[:120],
        "parent_uri": pair.parent_uri or "",
        "thumb": thumbs.get(pair.image_id),
        "parent_thumb": thumbs.get(pair.parent_id),
    }
