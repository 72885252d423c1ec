"""A real OCR reader measures whether images show the text of their prompts."""

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont
from tiny_models import MINI_ON_TORCH

from assay.data.store.lake import Lake
from assay.flows.augmentation.run import augment
from assay.flows.request import Request
from assay.synth.checks.legibility import TextReader, readable_share
from assay.synth.generators.protocol import CallableGenerator
from assay.synth.plan.plan_file import plan_of_dict


def sign(words):
    """Draw dark words on a light ground, shape (320, 420, 3)."""
    picture = Image.new("RGB", (420, 320), (230, 220, 200))
    ImageDraw.Draw(picture).text(
        (30, 130), words, fill=(10, 20, 120), font=ImageFont.load_default(44)
    )
    return np.asarray(picture)


@pytest.mark.parametrize(
    ("expected", "read", "share"),
    [
        ("abcd", "abcd", 1.0),
        ("Road Closed", "shop ROADCLOSED today", 1.0),
        ("abcd", "xxabxdxx", 0.75),  # one letter is another
        ("abcd", "xxabdxx", 0.75),  # one letter is missing
        ("abcd", "abXcd", 0.75),  # one letter too many
        ("abcd", "", 0.0),
        ("", "anything", 1.0),
    ],
)
def test_the_share_counts_letters_of_the_best_stretch(expected, read, share):
    """Values are computed by hand: one edit of four letters is a quarter."""
    assert readable_share(expected, read) == share


@given(st.text("abcde ", max_size=12), *[st.text("abcdefg ", max_size=20)] * 2)
def test_words_around_it_change_nothing_for_the_worse(expected, before, after):
    """The share is in [0, 1], and 1 wherever the expected text occurs."""
    assert readable_share(expected, before + expected + after) == 1.0
    assert (
        0.0 <= readable_share(expected, before) <= readable_share(expected, before + after) <= 1.0
    )


def test_a_reader_reads_a_sign_and_nothing_on_a_blank_wall():
    """Channels have the reader's order, so that blue on red of equal brightness is read too."""
    reader = TextReader()
    assert reader.read(sign("ROAD CLOSED"), "road closed").share == 1.0
    assert reader.read(sign("ROAD CLOSED"), "total 42.50").share < 0.5
    blank = reader.read(np.full((64, 64, 3), 128, np.uint8), "road closed")
    assert (blank.read, blank.share) == ("", 0.0)
    assert reader.reader_id.startswith("rapidocr@")


def test_a_plan_of_the_moderation_prompts_records_what_can_be_read(tmp_path):
    """Thirty images are made, one without its words, under the keys of a plan without OCR."""
    make = {"method": "text", "generator": "signs", "prompts": "moderation"}
    reading, plain = (
        plan_of_dict({"make": [make | more]}, folder=tmp_path) for more in ({"ocr": True}, {})
    )
    keys = [[job.key for job in plan.jobs(plan.blocks[0], [])] for plan in (reading, plain)]
    assert keys[0] == keys[1]
    assert len(set(keys[0])) == 30

    def painted(ask):
        shown = ask.prompt.split("'")[1]
        return sign("" if "receipt" in ask.prompt and "42" in shown else shown)

    request = Request(lake=str(tmp_path / "lake"), **MINI_ON_TORCH)
    generator = CallableGenerator(generator_id="signs@1", function=painted)
    result = augment(request, reading, generators={"signs": generator})
    assert result.made == 30
    rows = Lake(request.lake, create=False).scan("synthetics").collect()
    told = [json.loads(params) for params in rows["params"]]
    shares = {
        (one["settings"]["category"], one["settings"]["expected_text"]): one["text_readable_share"]
        for one in told
    }
    assert shares.pop(("receipt", "TOTAL 42.50")) == 0.0
    assert all(share > 0.85 for share in shares.values()), shares
    by_category = {row["setting"]: row["text_readable_share"] for row in result.table.to_dicts()}
    assert min(by_category, key=by_category.__getitem__) == "receipt"
    assert max(by_category.values()) <= 1.0
    assert "of the requested text is readable (means)" in result.summary()


def test_a_signal_after_the_last_reader_is_gone_is_an_exception():
    """Two readers that end in the order of their creation leave the process intact."""
    script = (
        "import gc, os, signal, time\n"
        "import numpy as np\n"
        "from assay.synth.checks.legibility import TextReader\n"
        # A process that was started in the background ignores the signal.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "picture = np.full((96, 96, 3), 255, np.uint8)\n"
        "first, second = TextReader(), TextReader()\n"
        "first.read(picture, 'x'), second.read(picture, 'x')\n"
        "del first\n"
        "gc.collect()\n"
        "del second\n"
        "gc.collect()\n"
        "try:\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    time.sleep(5)\n"
        "except KeyboardInterrupt:\n"
        "    print('heard')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout) == (0, "heard\n"), done.stderr
