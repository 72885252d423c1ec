"""Completion of the magics' options and of their values, by IPython's completer."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Final

from IPython.core.completer import (
    CompletionContext,
    SimpleCompletion,
    SimpleMatcherResult,
    context_matcher,
)

from .plan_completion import plan_completions, plan_fragment

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

# The text of a line up to the cursor: a magic, also one whose result is assigned.
_CALL: Final = re.compile(r"^\s*(?:[\w.\[\]'\" ,]+=\s*)?%{1,2}(\w+)(?=\s)(.*)$", re.DOTALL)
_PLAN: Final = re.compile(r"%%assay_plan\b")
_LAST_WORD: Final = re.compile(r"(\S*)$")


def complete_magics(
    shell: InteractiveShell, parsers: Mapping[str, argparse.ArgumentParser]
) -> None:
    """Add the completion of magics to a shell; loading the extension again adds nothing.

    Args:
        shell: Shell of the notebook.
        parsers: Parsers of the magics' arguments by the magics' names.
    """

    @context_matcher(identifier="assay.magics")  # type: ignore[untyped-decorator]
    def matcher(context: CompletionContext) -> SimpleMatcherResult:
        line = context.text_until_cursor
        lines = [*context.full_text.split("\n")[: context.cursor_line], line]
        if len(lines) > 1 and _PLAN.match(lines[0]):
            words, begun = plan_completions(lines[1:]), plan_fragment(line)
        else:
            words, begun = completions(line, parsers), fragment(line)
        return {
            "completions": [SimpleCompletion(text, type="option") for text in words],
            # Names of Python and files are no options.
            "suppress": bool(words),
            "matched_fragment": begun,
        }

    kept = [
        one
        for one in shell.Completer.custom_matchers
        if getattr(one, "matcher_identifier", None) != "assay.magics"
    ]
    shell.Completer.custom_matchers[:] = [*kept, matcher]


def completions(line: str, parsers: Mapping[str, argparse.ArgumentParser]) -> list[str]:
    """Return the options, or the values of an option, that complete a line; [] if none does.

    Args:
        line: Text of the line up to the cursor.
        parsers: Parsers of arguments by the magics' names.
    """
    call = _CALL.match(line)
    if call is None or call[1] not in parsers:
        return []
    words = call[2].split()
    begun = fragment(line)
    before = words[:-1] if begun or not call[2][-1:].isspace() else words
    actions = {flag: one for one in parsers[call[1]]._actions for flag in one.option_strings}
    option, equals, _ = _last(call[2]).partition("=")
    name = option if equals else (before[-1] if before else "")
    if (action := actions.get(name)) is not None and action.nargs != 0:
        return _beginning(values_of(action), begun)
    if begun.startswith("-"):
        given = {word.partition("=")[0] for word in before}
        return _beginning((flag for flag in actions if flag not in given), begun)
    return []


def values_of(action: argparse.Action) -> list[str]:
    """Return the values that an option may have; [] where any text is allowed."""
    if action.choices is not None:
        return [str(one) for one in action.choices]
    known = _KNOWN.get(action.dest)
    return known() if known is not None else []


def fragment(line: str) -> str:
    """Return the end of a line that a completion replaces: the word, or what follows its `=`."""
    return _last(line).rpartition("=")[2]


def _last(text: str) -> str:
    found = _LAST_WORD.search(text)
    return found[1] if found else ""


def _beginning(words: Iterable[str], begun: str) -> list[str]:
    return sorted(word for word in words if word.startswith(begun))


def _detectors() -> list[str]:
    from ...tasks.detector.weights.registry import registered_names

    return list(registered_names())


def _generators() -> list[str]:
    from ...synth.generators.registry import generator_names

    return list(generator_names())


def _devices() -> list[str]:
    from ...data.machine import DEVICE_KINDS

    return ["auto", *DEVICE_KINDS]


_KNOWN: Final[Mapping[str, Callable[[], list[str]]]] = {
    "detector": _detectors,
    "generator": _generators,
    "device": _devices,
    "generator_device": _devices,
}
"""Names that an option without a closed set of values may have, by the option's destination."""
