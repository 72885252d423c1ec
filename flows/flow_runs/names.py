"""Names and tags of a run on a Prefect server, so that a list of runs can be read and searched."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Sized
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any, Final

from ...data.errors import shorten
from ...data.source_paths import path_of_uri, scheme_of
from ...data.sources.folders.globs import has_magic
from ...data.sources.source_list import SUFFIX
from ...data.text.redaction import redact_url

_MAX_CHARS: Final = 40


def place_word(place: str) -> str:
    """Return the telling part of a path or an address: its last name, without secrets."""
    text = redact_url(place)
    scheme = scheme_of(text)
    path = path_of_uri(text) if scheme else text
    names = [name for name in path.split("/") if name]
    if names and has_magic(names[-1]):
        return shorten("/".join(names[-2:]), _MAX_CHARS)
    host = text.removeprefix(f"{scheme}://").partition("/")[0].rpartition("@")[2]
    return shorten(names[-1] if names else host or text, _MAX_CHARS)


def run_name(verb: str, sources: Sequence[str], lake: str, at: datetime) -> str:
    """Return the name of a flow run, such as `moderate incoming 2026-11-26 04:00 UTC`.

    Args:
        verb: Name of the run in the `runs` table.
        sources: Sources of the run; without any, it is named after its lake.
        lake: Address of the lake.
        at: Scheduled time of the start, else the time of the start.
    """
    what = place_word(sources[0].removesuffix(SUFFIX)) if sources else place_word(lake)
    more = f" +{len(sources) - 1:,}" if len(sources) > 1 else ""
    return f"{verb} {what}{more} {at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def run_tags(verb: str, lake: str, detector: str | None) -> list[str]:
    """Return the tags of a flow run and of its tasks.

    Args:
        verb: Name of the run in the `runs` table.
        lake: Address of the lake.
        detector: Name of the detector; None for a run without one.
    """
    of_detector = [] if detector is None else [f"detector:{place_word(detector.partition('@')[0])}"]
    return ["assay", verb, f"lake:{place_word(lake)}", *of_detector]


def task_run_name(step: str) -> Callable[..., str]:
    """Return the function that names the task runs of a step, each by its part of the work.

    Args:
        step: Name of the step, such as `score`.
    """

    # Prefect passes the arguments of the task by this name.
    def named(parameters: Mapping[str, Any]) -> str:
        if "chunk_index" in parameters:
            part = f"chunk {parameters['chunk_index']}{_size(parameters, 'items', 'jobs')}"
        elif "shard" in parameters:
            shard = PurePath(str(parameters["shard"])).stem
            part = f"shard {shard[:16]}{_size(parameters, 'image_ids')}"
        else:
            return step
        return f"{step} {part}"

    return named


def _size(parameters: Mapping[str, Any], *names: str) -> str:
    found = next((parameters[name] for name in names if name in parameters), None)
    unit = "images" if "image_ids" in names else names[0]
    if not isinstance(found, Sized):
        return ""
    return f": {len(found):,} {unit.removesuffix('s') if len(found) == 1 else unit}"
