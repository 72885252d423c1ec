"""The report as one HTML file: no scripts, no requests, all outside text escaped."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ...data.commands import command
from ...data.package_versions import package_versions
from ...data.schema import DecisionReason, Reason
from ...data.score_key import UNVERIFIED
from ..decide.policy import Policy
from ..pages.captions import SIGNS, cut, score_text, short_name
from ..pages.environment import environment
from ..pages.histogram import histogram_svg
from ..pages.thumbnails import Thumbnail
from ..rejections import remedy_of
from .facts import ReportFacts
from .run_record import RunRecord

_MAX_SOURCES: Final = 4

# Notes in captions. Reasons that follow from the score alone are left out: the score is there.
_NOTES: Final = {
    DecisionReason.VIEW_ABOVE_FLAG: "one tile scores high",
    DecisionReason.LOW_RESOLUTION: "low resolution",
    DecisionReason.DECLARED_AI: "metadata declares it AI-generated",
    DecisionReason.NOT_AS_SEEN: "viewers may show another image",
}


def render_page(
    run: RunRecord,
    lake_uri: str,
    facts: ReportFacts,
    policy: Policy | None,
    thumbs: Mapping[str, Thumbnail],
) -> str:
    """Return the page as HTML.

    Args:
        run: Record of the run.
        lake_uri: Address of the lake, for the commands on the page.
        facts: Figures of the run.
        policy: Policy with the thresholds; None leaves them out of the histogram.
        thumbs: Thumbnails by image_id; a missing one is said to be missing.
    """
    band = policy.band(run.detector_id)[0] if policy and run.detector_id else None
    sources = [str(source) for source in run.params.get("sources") or []]
    n_decided = sum(facts.decisions.values())
    galleries = {
        name: [_captioned(row, thumbs) for row in getattr(facts, name)]
        for name in ("highest", "nearest", "lowest")
    }
    return (
        environment(Path(__file__).parent)
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
            failures=[
                (Reason.text_of(name), remedy_of(name), n) for name, n in facts.failures.items()
            ],
            confusion=facts.confusion,
            histogram_wide=histogram_svg(facts.histogram, band, width_px=1090),
            histogram_narrow=histogram_svg(facts.histogram, band, width_px=340, n_bins=20),
            all_images=galleries["highest"] if facts.n_scored <= len(facts.highest) else [],
            **galleries,
            rejected=[
                (reason, Reason.text_of(reason), remedy_of(reason), n, examples)
                for reason, (n, examples) in facts.rejected.items()
            ],
            n_copies=facts.statuses.get("duplicate", 0),
            what_ran=_what_ran(run, lake_uri, facts),
            plain=("time", "versions"),
            commands=_commands(run, lake_uri, facts),
        )
    )


def _reasons(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Return texts and counts in the order of `DecisionReason`, in which notes come last."""
    known = [reason for reason in DecisionReason if reason in counts]
    # Reasons of later versions are shown as they are.
    others = sorted(set(counts) - set(DecisionReason))
    return [(DecisionReason.text_of(word), counts[word]) for word in (*known, *others)]


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


def _tiles(run: RunRecord, facts: ReportFacts) -> list[tuple[str, int]]:
    """Return the counts of the run's record, and those of the tables where it has none yet."""
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
            tiles.append(("already scored", counted["already_scored"]))
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
        "weights (sha256)": _weights(params),
        "preprocessing": params.get("profile") if run.detector_id else None,
        "backend": _backends(facts.backends) or params.get("backend"),
        "precision": params.get("precision") if run.detector_id else None,
        "policy": run.policy_id,
        "versions": listed if of_run else f"{listed} (when this report was written)",
        "assay version": None if of_run and "assay" in of_run else run.code_version,
        "time": time,
        "batch": run.batch_id,
        "lake": lake_uri,
    }
    return [(name, str(value)) for name, value in rows.items() if value]


def _weights(params: Mapping[str, Any]) -> str | None:
    """Return the hash of the weights, marked if no registry or card pins it."""
    digest = params.get("weights_sha256")
    # Older runs did not record whether the hash was pinned.
    if digest is None or params.get("weights_pinned") is not False:
        return digest
    is_marked = str(digest).startswith(UNVERIFIED)
    return str(digest) if is_marked else f"{digest} (unverified: this hash is not pinned)"


def _backends(counts: Mapping[str, int]) -> str:
    """Return the names of the backends, each with its number of images if there are several."""
    if len(counts) < 2:
        return "".join(counts)
    return ", ".join(f"{name} ({n:,} images)" for name, n in counts.items())


def _commands(run: RunRecord, lake_uri: str, facts: ReportFacts) -> list[tuple[str, str]]:
    commands = []
    if facts.nearest:
        image_id = facts.nearest[0]["image_id"][:12]
        commands.append(
            (
                "all rows about the image nearest to its flag threshold",
                command("show", image_id, lake=lake_uri),
            )
        )
    # Taken from the record, the only place with all settings of the run.
    if isinstance(again := run.params.get("command"), str):
        commands.append(("the same run again: reads and scores only new items", again))
    if facts.n_images:
        commands.append(
            (
                "a labelled dataset; near-duplicates stay in one split",
                command("publish", to="dataset", lake=lake_uri),
            )
        )
    commands.append(("this report again", command("report", run.run_id, lake=lake_uri)))
    return commands
