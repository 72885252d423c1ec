"""The tree's English keeps one form: verbs for functions, nouns for values, names for errors."""

import ast
import functools
import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from import_graph import LAYERS, ROOT, modules
from prose import (
    comments,
    docstrings,
    entries,
    error_family,
    functions,
    messages,
    noun_texts,
    raised,
    template_lines,
)

from assay.data.column_texts import COLUMN_TEXTS

pytestmark = pytest.mark.xdist_group("words")  # one process parses the tree

# First words of functions' docstrings, in the base form. Adding one is deliberate.
_VERBS = """
    Accept Act Add Adjust Advance Align Allocate Answer Append Apply Ask Assemble Assert Assign
    Attach
    Average Begin Bind Block Bound Break Build
    Calculate Call Cancel Cast Change Check Choose Clamp Clear Clip Close Cluster Collect Combine
    Commit Compare Compile Compose Compress Compute Configure Connect Construct Convert Copy
    Correct Count Cover Create Crop Cut
    Decide Declare Decode Decompress Delete Deploy Derive Describe Detach Detect Determine Discard
    Display Divide Download Draw Drop
    Embed Enable Encode End Enforce Ensure Enter Escape Estimate Evaluate Examine Exclude Execute
    Exit Expand Explain Export Extend Extract
    Fail Fetch Fill Filter Find Fine-tune Finish Fit Fix Flag Flatten Flush Fold Follow Forget
    Format Forward Free
    Freeze Fuse
    Gather Generate Get Group Guard Guess
    Handle Hash Hide Hold
    Identify Ignore Import Include Index Infer Ingest Initialise Insert Inspect Install Interpolate
    Invert Iterate
    Join Judge
    Keep Kill
    Label Launch Leave Let Limit Link List Load Locate Lock Log Look Lower
    Make Map Mark Mask Match Measure Merge Migrate Mix Moderate Move Multiply
    Name Normalise
    Offer Open Optimise Order
    Pack Pad Paint Pair Parse Partition Pass Patch Paste Perform Persist Pick Place Plan Plot Pool
    Predict Prepare Print Process Produce Project Promote Propagate Protect Prove Provide Publish
    Pull Put
    Quantise Query Quote
    Raise Rank Read Rebuild Receive Recompute Reconstruct Record Reduce Refer Refuse Register
    Reject Release Reload Remove Rename Render Repair Repeat Replace Report Require Rescale Reset
    Request Resize Resolve Restore Resume Retry Return Reuse Reverse Review Rewrite Rotate Round Run
    Sample Save Scale Scan Schedule Score Search Select Send Separate Serialise Serve Set Shard
    Share Shift Shorten Show Shuffle Shut Sign Simulate Skip Sort Specify Split Stack Start Stop
    Store Stream Strip Submit Subtract Sum Summarise Suppress Swap Sweep Switch Synthesise
    Take Tell Test Tile Time Tokenise Trace Train Transform Translate Treat Trim Truncate Try Turn
    Undo Unlock Unpack Unwrap Update Upload Upscale Use
    Validate Verify Visit
    Wait Walk Warm Warn Withdraw Wrap Write
    Yield
"""
VERBS = set(_VERBS.split())

# A value's text starts with its noun, so not with these. "Whether" is for booleans.
_NO_NOUNS = """
    After Against Along As At Because Before Being Below Beside Besides Between By Can Either Else
    For From Goes Had Has Have He Here How However If In Inside Instead Is It Its Leads Likewise May
    Nothing Of On Or Our She Should Since Some Such Than That Their Them Then There These They This
    Those To Under Unless Until Was What Whatever When Whence Where Wherever Which Whichever While
    Who Whoever Whom Whose Why With Within Without You Your
"""
NO_NOUNS = set(_NO_NOUNS.split())

# Words of earlier texts and what is said today.
OLD_PHRASES = {
    r"(pictures|images) (that are )?drawn here": "generated test images",
    r"known before": "already scored",
    r"by flag\b": "pass --overwrite",
    r"goes on where": "resumes",
    r"may act alone": "human review required",
    r"teach a generator": "fine-tune a LoRA adapter",
    r"(images|pictures|rows|files|tokens|steps) a second": "images per second, images/s",
    r"own word on": "",
    r"\bin circles for": "",
    r"by way of": "through",
    r"gets on\b": "progress",
    r"without a word": "silently",
    r"is gone again": "",
    r"\b(was|were|is|are|been|be) told\b": "setting, argument",
    r"\b(is|are|be) had\b": "available",
    r"\basked for\b": "requested",
    r"\bas a rule\b": "usually",
    r"\bworked out\b": "computed",
    r"\bwhat (came|became) of\b": "outcome, result",
    r"\bmachine-made\b": "AI-generated",
    r"\bsomebody\b": "user, another process",
    r"\bwhoever\b": "user, caller",
}

# Words that no message, help text, description or constant has.
OLD_MESSAGE_WORDS = {
    r"\bpictures?\b": "image",
}

# Texts that are data: other words would make other images.
PROMPTS = {"a television news picture with a banner that says '{text}'"}

# A public function of at least this many statements has a docstring.
NON_TRIVIAL = 3


@pytest.mark.parametrize("hall", ["", *LAYERS])
def test_words_of_a_hall_keep_one_form(hall):
    """Docstrings, fields, errors and messages follow the rules."""
    for folder, texts in findings(hall).items():
        assert not texts, "\n".join([f"{folder}:", *texts])


def test_texts_of_columns_start_with_a_noun():
    """Descriptions of columns are values' texts as well."""
    texts = [text for columns in COLUMN_TEXTS.values() for text in columns.values()]
    assert [text for text in texts if first_word(text) in NO_NOUNS] == []


def test_ruff_checks_the_mood_of_docstrings_everywhere():
    """No folder ignores D401: halls, tests and benchmarks alike."""
    lint = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]
    ignores = lint["per-file-ignores"]
    assert "D401" in lint["select"]
    assert [pattern for pattern, rules in ignores.items() if "D401" in rules] == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('def f():\n    """The sum."""', "starts with 'The', not with a verb"),
        ('class C:\n    def _f(self):\n        """Returns it."""', "starts with 'Returns'"),
        ("def f():\n    a = 1\n    b = 2\n    return a + b", "has no docstring"),
        ('def f(a):\n    """Add.\n\n    Args:\n        a: Of it.\n    """', "starts with 'Of it.'"),
        ('class C:\n    a: int\n    """What it is."""', "starts with 'What it is.'"),
        ('Field(description=f"How {far} it is.")', "starts with 'How {} it is.'"),
        ('def f():\n    """Add."""\n    raise InputError("x")', "raises InputError and does not"),
        ('X = f"{n} known " f"before"', "'known before'; today: already scored"),
        ("# This is known\n# before.", "'known before'; today: already scored"),
        ('"""It is\nknown before."""', "'known before'; today: already scored"),
        ('X = "no picture in it"', "'picture' in 'no picture in it'; today: image"),
    ],
)
def test_each_rule_finds_what_it_is_about(source, found, tmp_path):
    """Of a module with one wrong sentence, the rule names the sentence."""
    path = tmp_path / "module.py"
    path.write_text(source)
    (text,) = [text for rule in RULES for text in rule(path)]
    assert found in text


def test_templates_are_read_without_their_code(tmp_path):
    """Names inside tags are code; the text between them is a message."""
    path = tmp_path / "page.html.jinja"
    path.write_text("{% macro picture(row) %}<p>\nOne picture.</p>{{ picture }}")
    (text,) = template_words(path)
    assert "page.html.jinja:2" in text


def test_what_the_rules_leave_alone(tmp_path):
    """Properties, special methods, nested functions and keys are nouns; helpers raise freely."""
    path = tmp_path / "module.py"
    path.write_text(
        'class C:\n    a: bool\n    """Whether it holds."""\n'
        '    @property\n    def b(self):\n        """The sum."""\n'
        '    def __len__(self):\n        """The length."""\n'
        'def f():\n    """Add, then write.\n\n    Raises:\n        InputError: none.\n    """\n'
        '    def g():\n        """The part."""\n        raise StoreError("x")\n'
        '    raise InputError("x")\nX = "pictures"\n'
    )
    assert [text for rule in RULES for text in rule(path)] == []


def folder_of(path: Path) -> str:
    return "/".join(path.relative_to(ROOT).parent.parts[:2])


def first_word(text: str) -> str:
    found = re.match(r"[A-Za-z]+(?:-[a-z]+)?(?='|\b)(?!')", text)
    return found[0] if found else ""


def files(hall: str) -> list[Path]:
    return [path for path in modules().values() if folder_of(path).split("/")[0] == hall]


def wrong_verbs(path: Path) -> Iterator[str]:
    for place, _, text in functions(path):
        if text and first_word(text) not in VERBS:
            yield f"{place}: starts with {text.split()[0]!r}, not with a verb of VERBS"


def missing_docstrings(path: Path) -> Iterator[str]:
    for place, node, text in functions(path):
        public = not any(part.startswith("_") for part in place.name.split("."))
        n_statements = sum(isinstance(inner, ast.stmt) for inner in ast.walk(node)) - 1
        if public and not text and n_statements >= NON_TRIVIAL:
            yield f"{place}: has no docstring"


def wrong_nouns(path: Path) -> Iterator[str]:
    for place, text in noun_texts(path):
        if not text or first_word(text).capitalize() in NO_NOUNS:
            yield f"{place}: starts with {text[:20]!r}, not with a noun"


def missing_raises(path: Path) -> Iterator[str]:
    for place, node, text in functions(path):
        if not any(part.startswith("_") for part in place.name.split(".")):
            named = {name for names, _ in entries(text, "Raises") for name in names.split(", ")}
            for error in sorted(raised(node, error_family()) - named):
                yield f"{place}: raises {error} and does not name it under Raises"


def old_phrases(path: Path) -> Iterator[str]:
    for place, text in [*docstrings(path), *comments(path), *messages(path)]:
        for phrase, today in OLD_PHRASES.items():
            if found := re.search(phrase, text, re.IGNORECASE):
                yield f"{place}: {found[0]!r}; today: {today or 'other words'}"


def old_message_words(path: Path) -> Iterator[str]:
    for place, text in messages(path):
        # A text of one word is a key, a column or a folder: it is what it is called.
        if " " in text and text not in PROMPTS:
            for word, today in OLD_MESSAGE_WORDS.items():
                if found := re.search(word, text, re.IGNORECASE):
                    yield f"{place}: {found[0]!r} in {text[:60]!r}; today: {today}"


def template_words(path: Path) -> Iterator[str]:
    for place, text in template_lines(path):
        for word, today in (OLD_PHRASES | OLD_MESSAGE_WORDS).items():
            if found := re.search(word, text, re.IGNORECASE):
                yield f"{place}: {found[0]!r}; today: {today or 'other words'}"


RULES = (
    wrong_verbs,
    missing_docstrings,
    wrong_nouns,
    missing_raises,
    old_phrases,
    old_message_words,
)


@functools.cache
def findings(hall: str) -> dict[str, list[str]]:
    """Return what is to be reworded, by folder; the package's own files by the empty name."""
    by_folder: dict[str, list[str]] = defaultdict(list)
    for path in files(hall):
        by_folder[folder_of(path)] += [text for rule in RULES for text in rule(path)]
    for path in [*(ROOT / hall).rglob("*.jinja"), *(ROOT / hall).rglob("*.toml")] if hall else []:
        by_folder[folder_of(path)] += template_words(path)
    return {folder: texts for folder, texts in by_folder.items() if texts}
