"""The commands that ask for a run, or for scores, again: complete, whatever the settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ..data.commands import command
from ..data.source_paths import absolute_source
from ..data.text.redaction import HIDDEN, redact_url
from ..data.user_paths import from_home
from .detector.weights.locate import has_name

# Settings that have several values, by the option that gives one.
_OPTIONS: Final = {"roots": "root"}


def run_again(
    verb: str, settings: Mapping[str, Any], *, defaults: Mapping[str, Any], lake: str
) -> str | None:
    """Return the command that asks for the same run again, whatever folder it is pasted in.

    Args:
        verb: `moderate`, `ingest` or `score`.
        settings: Fields of the request, its sources among them.
        defaults: What the command takes for each option that is left out; settings that are no
            option of the command are not in it.
        lake: Address of the lake.

    Returns:
        The command; None where a source is a URL that holds what must not be written down.
    """
    sources = [str(source) for source in settings.get("sources") or ()]
    if any(redact_url(source) != source or HIDDEN in source for source in sources):
        return None
    options = {
        _OPTIONS.get(name, name): _absolute(name, settings[name])
        for name, default in defaults.items()
        if name in settings and settings[name] != default
    }
    return command(verb, *map(absolute_source, sources), lake=lake, **options)


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


def _absolute(name: str, value: Any) -> Any:
    """A setting that names files or folders of this machine, as it is named from any folder."""
    if name == "roots":
        return [absolute_source(str(root)) for root in value]
    is_file = name == "policy" or (name == "detector" and from_home(str(value)).is_dir())
    return absolute_source(str(value)) if is_file else value
