"""The commands that assay prints: complete, quoted, and good from any folder."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, Final

from ..data.redaction import HIDDEN, redact_url
from ..data.user_paths import from_home
from .detector.cards import card_by_name

# Settings that have several values, by the option that gives one.
_OPTIONS: Final = {"roots": "root"}


def command(*words: object, lake: str | None = None, **options: Any) -> str:
    """Return a command of assay as a shell reads it.

    Args:
        *words: Verb and arguments.
        lake: Address of the lake, made absolute, as the last option; None for a verb without one.
        **options: Values by option name. None, False and empty ones are left out, True is the
            bare flag, a sequence repeats its option.
    """
    parts = ["assay", *map(str, words)]
    where = {"lake": None if lake is None else absolute_source(lake)}
    for name, value in (options | where).items():
        flag = "--" + name.replace("_", "-")
        if value is True:
            parts.append(flag)
        elif isinstance(value, Sequence) and not isinstance(value, str):
            parts += [part for one in value for part in (flag, str(one))]
        elif value is not None and value is not False and value != "":
            parts += [flag, str(value)]
    return shlex.join(parts)


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
    elif card_by_name(name) is None:
        name = "FOLDER"  # only who scored with it knows where it lies
    number_format = precision.partition("@")[0]
    return command(
        "score",
        detector=name,
        precision=None if number_format == "fp32" else number_format,
        lake=lake,
    )


def absolute_source(source: str) -> str:
    """Return a source as it is named from any folder; URLs stay as they are."""
    return source if "://" in source else os.path.abspath(from_home(source))  # noqa: PTH100


def _absolute(name: str, value: Any) -> Any:
    """A setting that names files or folders of this machine, as it is named from any folder."""
    if name == "roots":
        return [absolute_source(str(root)) for root in value]
    is_file = name == "policy" or (name == "detector" and from_home(str(value)).is_dir())
    return absolute_source(str(value)) if is_file else value
