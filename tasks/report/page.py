"""The report as HTML: one file, no scripts, nothing fetched, every word from outside escaped."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final
from urllib.parse import unquote

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ...data.commands import command
from ...data.package_versions import package_versions
from ...data.schema import DecisionReason, Reason
from ...data.source_paths import path_of_uri
from ...data.text.redaction import redact_text
from ..decide.policy import Policy
from ..pages.histogram import histogram_svg
from ..pages.thumbnails import Thumbnail
from .facts import ReportFacts
from .run_record import RunRecord

# Shapes beside the colours, for those who cannot tell the colours apart.
SIGNS: Final = {"clear": "●", "review": "◆", "flag": "▲"}
_MAX_SOURCES: Final = 4
_URI_CHARS: Final = 160

# What a caption adds to score and decision; the score's own reasons say nothing new there.
_NOTES: Final = {
    DecisionReason.VIEW_ABOVE_FLAG: "a part scores high",
    DecisionReason.LOW_RESOLUTION: "small",
    DecisionReason.DECLARED_AI: "declares itself machine-made",
    DecisionReason.NOT_AS_SEEN: "people may see another picture",
}


def render_page(
    run: RunRecord,
    lake_uri: str,
    facts: ReportFacts,
    policy: Policy | None,
    thumbs: Mapping[str, Thumbnail],
) -> str:
    """The whole page."""
    band = policy.band(run.detector_id)[0] if policy and run.detector_id else None
    sources = [str(source) for source in run.params.get("sources") or []]
    n_decided = sum(facts.decisions.values())
    galleries = {
        name: [_picture(row, thumbs) for row in getattr(facts, name)]
        for name in ("highest", "nearest", "lowest")
    }
    return (
        _environment()
        .get_template("report.html.jinja")
        .render(
            run=run,
            facts=facts,
            band=band,
            signs=SIGNS,
            started=f"{run.started_at:%Y-%m-%d %H:%M:%S} UTC",
            sources=[cut(source) for source in sources[:_MAX_SOURCES]],
            n_more_sources=len(sources[_MAX_SOURCES:]),
            tiles=_tiles(run, facts),
            n_decided=n_decided,
            decisions=[
                (name, n, f"{n / n_decided:.1%}" if n_decided else "")
                for name, n in facts.decisions.items()
            ],
            reasons=_reasons(facts.reasons),
            failures=[(Reason.text_of(name), n) for name, n in facts.failures.items()],
            confusion=facts.confusion,
            histogram_wide=histogram_svg(facts.histogram, band, width_px=1090),
            histogram_narrow=histogram_svg(facts.histogram, band, width_px=340, n_bins=20),
            all_pictures=galleries["highest"] if facts.n_scored <= len(facts.highest) else [],
            **galleries,
            rejected=[
                (reason, Reason.text_of(reason), n, examples)
                for reason, (n, examples) in facts.rejected.items()
            ],
            n_copies=facts.statuses.get("duplicate", 0),
            what_ran=_what_ran(run, lake_uri, facts),
            plain=("time", "versions"),
            commands=_commands(run, lake_uri, facts),
        )
    )


def _reasons(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Texts and counts in the order of the rules, not of the counts: mere notes come last."""
    known = [reason for reason in DecisionReason if reason in counts]
    # Words that a newer assay wrote are shown as they are.
    others = sorted(set(counts) - set(DecisionReason))
    return [(DecisionReason.text_of(word), counts[word]) for word in (*known, *others)]


def score_text(prob: float | None) -> str:
    """Three decimals, but never 0.000 or 1.000 for what is neither."""
    if prob is None:
        return "no score"
    if 0 < prob < 0.0005:
        return "<0.001"
    if 0.9995 <= prob < 1:
        return ">0.999"
    return f"{prob:.3f}"


def short_name(source_uri: str | None) -> str:
    """What a person would call an item: the last part of its path, or its place in a table."""
    if not source_uri:
        return "unnamed"
    container, _, member = source_uri.rpartition("!")
    if container and member.isdigit():
        return f"{short_name(container)} row {member}"
    path = member if container else path_of_uri(source_uri.replace("#", "%23"))
    return visible(PurePosixPath(unquote(path)).name or source_uri)


def visible(text: str) -> str:
    """Without secrets of URLs, and without signs that hide or turn round what follows.

    Rows of older lakes may hold secrets; of signs, a right-to-left override is the plainest.
    """
    return "".join(
        "�" if unicodedata.category(sign) in {"Cc", "Cf"} else sign for sign in redact_text(text)
    )


def cut(text: str) -> str:
    """At most 160 characters: the end of an address tells more than its middle."""
    text = visible(text)
    if len(text) <= _URI_CHARS:
        return text
    return f"{text[:40]}…{text[-(_URI_CHARS - 41) :]}"


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["cut"] = cut
    environment.filters["visible"] = visible
    return environment


def _picture(row: Mapping[str, Any], thumbs: Mapping[str, Thumbnail]) -> dict[str, Any]:
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


def _tiles(run: RunRecord, facts: ReportFacts) -> list[tuple[str, int]]:
    """The run's own counts; what the tables say where it has none yet."""
    counted = {
        "items": sum(facts.statuses.values()) or facts.n_images,
        "stored": facts.statuses.get("stored", 0),
        "duplicates": facts.statuses.get("duplicate", 0),
        "rejected": facts.statuses.get("rejected", 0),
        "scored": facts.n_scored,
        "failed": sum(facts.failures.values()),
    } | {name: n for name, n in run.counts.items() if isinstance(n, int)}
    tiles = [("images in the lake" if run.batch_id is None else "items", counted["items"])]
    if run.batch_id is None:
        tiles = [("images", facts.n_images)]
    else:
        tiles += [(name, counted[name]) for name in ("stored", "duplicates", "rejected")]
    if run.detector_id is not None:
        tiles.append(("scored now", counted["scored"]))
        if counted.get("already_scored"):
            tiles.append(("scored before", counted["already_scored"]))
        tiles.append(("failed", counted["failed"]))
    return tiles


def _what_ran(run: RunRecord, lake_uri: str, facts: ReportFacts) -> list[tuple[str, str]]:
    params, counts = run.params, run.counts
    of_run = params.get("versions")
    versions = of_run if isinstance(of_run, dict) else package_versions()
    listed = ", ".join(f"{package} {number}" for package, number in versions.items())
    time = ""
    if run.finished_at is not None:
        seconds = counts.get("seconds", (run.finished_at - run.started_at).total_seconds())
        time = f"{seconds:,.1f} s"
        if counts.get("images_per_second"):
            time += f", {counts['images_per_second']:,.1f} images scored per second"
    rows = {
        "detector": run.detector_id,
        "weights (sha256)": params.get("weights_sha256"),
        "preprocessing": params.get("profile") if run.detector_id else None,
        "backend": _backends(facts.backends) or params.get("backend"),
        "precision": params.get("precision") if run.detector_id else None,
        "policy": run.policy_id,
        "versions": listed if of_run else f"{listed} (when this page was drawn)",
        "assay of the run": run.code_version,
        "time": time,
        "batch": run.batch_id,
        "lake": lake_uri,
    }
    return [(name, str(value)) for name, value in rows.items() if value]


def _backends(counts: Mapping[str, int]) -> str:
    """Names, with the number of images where there are several."""
    if len(counts) < 2:
        return "".join(counts)
    return ", ".join(f"{name} ({n:,} images)" for name, n in counts.items())


def _commands(run: RunRecord, lake_uri: str, facts: ReportFacts) -> list[tuple[str, str]]:
    commands = []
    if facts.nearest:
        image_id = facts.nearest[0]["image_id"][:12]
        commands.append(
            (
                "all that is known of the picture nearest the threshold",
                command("show", image_id, lake=lake_uri),
            )
        )
    # Recorded with the run, since nothing else has all of its settings.
    if isinstance(again := run.params.get("command"), str):
        commands.append(("again: reads and scores only what is new", again))
    if facts.n_images:
        commands.append(
            (
                "a labelled dataset, split so that no copy crosses",
                command("publish", to="dataset", lake=lake_uri),
            )
        )
    commands.append(("this page again", command("report", run.run_id, lake=lake_uri)))
    return commands
