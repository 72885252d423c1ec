"""The examples in the docstrings of `import assay` run as they stand."""

import doctest
from pathlib import Path

import pytest

import assay
from assay.flows.results.moderation import Moderation

SHOWN = [assay.moderate, assay.score, assay.Detector, Moderation]


@pytest.mark.parametrize("shown", SHOWN, ids=lambda shown: shown.__qualname__)
def test_examples_give_what_they_show(
    shown: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a folder of their own, without settings of this machine."""
    monkeypatch.chdir(tmp_path)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    for test in doctest.DocTestFinder(recurse=False).find(shown, globs={}):
        runner.run(test)
    outcome = runner.summarize(verbose=False)
    assert outcome.attempted > 0
    assert outcome.failed == 0
