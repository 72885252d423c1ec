"""The commands that repeat a run or complete its scores, with all their options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..data.commands import command
from ..data.source_paths import absolute_source, scheme_of
from ..data.sources.memory.held_rows import SCHEME as IN_MEMORY
from ..data.text.redaction import HIDDEN, redact_url
from .detector.weights.locate import has_name


def run_again(
    verb: str,
    settings: Mapping[str, Any],
    *,
    defaults: Mapping[str, Any],
    options: Mapping[str, str],
    lake: str,
) -> str | None:
    """Return the command that repeats a run, independent of the working directory.

    Args:
        verb: Name of the command: `moderate`, `ingest` or `score`.
        settings: Settings of the run by name, with `sources`; paths are absolute.
        defaults: Default per setting, for the settings that are options of the command.
        options: Option per setting, such as `--label-from`.
        lake: Address of the lake.

    Returns:
        The command; None if a source is a URL with a secret, or images in memory.
    """
    sources = [str(source) for source in settings.get("sources") or ()]
    if any(redact_url(source) != source or HIDDEN in source for source in sources):
        return None
    if any(scheme_of(source) == IN_MEMORY for source in sources):
        return None
    changed = {
        options[name].removeprefix("--"): settings[name]
        for name, default in defaults.items()
        if settings[name] != default
    }
    return command(verb, *map(absolute_source, sources), lake=lake, **changed)


def score_again(lake: str, detector_id: str, precision: str) -> str:
    """Return the command that scores the images without a score by a detector.

    Args:
        lake: Address of the lake.
        detector_id: Id of the detector in the tables.
        precision: Precision in the tables, such as `fp32` or `int8@HASH`.
    """
    name, _, _ = detector_id.partition("@")
    if "/" in detector_id:
        name = detector_id  # a hub checkpoint is named by its id with the revision
    elif not has_name(name):
        name = "FOLDER"  # the tables do not record the folder of an unregistered detector
    number_format = precision.partition("@")[0]
    return command(
        "score",
        detector=name,
        precision=None if number_format == "fp32" else number_format,
        lake=lake,
    )
