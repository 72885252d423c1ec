"""The commands that ask for a run, or for scores, again: complete, whatever the settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..data.commands import command
from ..data.source_paths import absolute_source
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
    """Return the command that asks for the same run again, whatever folder it is pasted in.

    Args:
        verb: `moderate`, `ingest` or `score`.
        settings: Settings of the run by name, its sources among them; paths are absolute.
        defaults: What the command takes for each setting that is left out; those that are no
            option of the command are not in it.
        options: Options by setting, such as `--label-from`.
        lake: Address of the lake.

    Returns:
        The command; None where a source is a URL that holds what must not be written down.
    """
    sources = [str(source) for source in settings.get("sources") or ()]
    if any(redact_url(source) != source or HIDDEN in source for source in sources):
        return None
    changed = {
        options[name].removeprefix("--"): settings[name]
        for name, default in defaults.items()
        if settings[name] != default
    }
    return command(verb, *map(absolute_source, sources), lake=lake, **changed)


def score_again(lake: str, detector_id: str, precision: str) -> str:
    """Return the command that scores what a detector has not scored yet.

    Args:
        lake: Address of the lake.
        detector_id: Detector as the tables name it.
        precision: Precision as the tables name it, such as `fp32` or `int8@HASH`.
    """
    name, _, _ = detector_id.partition("@")
    if "/" in detector_id:
        name = detector_id  # a checkpoint of the hub is asked for by its whole id
    elif not has_name(name):
        name = "FOLDER"  # only who scored with it knows where it lies
    number_format = precision.partition("@")[0]
    return command(
        "score",
        detector=name,
        precision=None if number_format == "fp32" else number_format,
        lake=lake,
    )
