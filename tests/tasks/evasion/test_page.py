"""The evasion page: complete labels at any width, keyboard access, escaped outside text."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser

import polars as pl
import pytest
from lakes import KEY

from assay.tasks.decide.policy_file import load_policy
from assay.tasks.evasion.page import chosen_pairs, render_evasion
from assay.tasks.evasion.table import evasion_table
from assay.tasks.pages.thumbnails import Thumbnail

LONG = "generator stable-diffusion-3.5-large-turbo, category signs-with-words, lora sepia-and-grain"
ATTACK = "<script>alert(1)</script>"


class Page(HTMLParser):
    """Tags with attributes in order, and all text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the tag."""
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """Keep the words."""
        self.words.append(data)

    def of_class(self, name: str) -> list[dict[str, str | None]]:
        """Attributes of the elements of a class."""
        return [attrs for _, attrs in self.tags if name in (attrs.get("class") or "").split()]


def row(number: int, setting: str, prob: float, label: str = "fake") -> dict[str, object]:
    return {
        "block": "text",
        "method": "text",
        "setting": setting,
        "image_id": f"{number:012x}" + "0" * 52,
        "parent_id": "f" * 64,
        "label": label,
        "logit": -1.0 if prob < 0.35 else 1.0,
        "prob_fake": prob,
        "parent_logit": 0.5,
        "parent_prob": 0.6,
        "evades": prob < 0.35,
        "is_flagged": prob >= 0.65,
        "license_flags": [],
        "clip_cosine": None,
        "text_readable_share": None,
    }


@pytest.fixture(scope="module")
def html() -> str:
    rows = pl.DataFrame(
        [
            *(row(n, LONG, 0.1 if n < 1 else 0.9) for n in range(4)),
            row(4, ATTACK, 0.9),
            row(5, "jpeg-70", 0.2, label="laundered"),
        ],
        schema_overrides={"clip_cosine": pl.Float64, "text_readable_share": pl.Float64},
        infer_schema_length=None,
    )
    picture = f"data:image/webp;base64,{base64.b64encode(b'x').decode()}"
    thumb = Thumbnail(veil=picture, sharp=picture, width_px=8, height_px=8)
    return render_evasion(
        evasion_table(rows),
        chosen_pairs(rows),
        {f"{n:012x}" + "0" * 52: thumb for n in range(6)},
        key=KEY,
        policy=load_policy(),
        run_id="r-1",
    )


def test_labels_and_bars_are_whole_at_any_width(html: str) -> None:
    """Names are never cut, and bars are placed by shares of their track."""
    page = Page(html)
    assert page.text.count(f"text: {LONG}") == 2 + 3  # chart and table, then a caption a pair
    assert "1 of 4" in page.text
    # Wilson's interval for 1 of 4 is 4.56 to 69.94 %.
    assert page.of_class("range")[0]["style"] == "left:4.56%;width:65.38%"
    assert page.of_class("dot")[0]["style"] == "left:25.00%"
    assert page.of_class("track")[0]["aria-label"] == "25 %, from 5 to 70"
    assert "svg" not in {tag for tag, _ in page.tags}
    assert not [attrs for tag, attrs in page.tags if tag != "img" and "width" in attrs]
    assert not re.search(r"(?<!max-)(?<!min-)width:\s*\d{3,}px", html)


def test_on_a_narrow_screen_each_figure_stands_beside_its_name(html: str) -> None:
    """Every cell has the name of its column."""
    page = Page(html)
    heads = page.text.partition(" setting ")[2].split(" text: ")[0]
    names = [attrs["data-name"] or "" for tag, attrs in page.tags if tag == "td"]
    assert len(names) == 3 * 8
    assert " ".join(names[:8]) == heads
    assert "content:attr(data-name)" in html


def test_what_scrolls_or_opens_can_be_reached_by_keyboard(html: str) -> None:
    """Each scrolling box and each blurred image has a tab stop and a name."""
    page = Page(html)
    scrolling = re.findall(r"\.(\w+) {[^}]*overflow-x:auto", html)
    assert scrolling == ["scroll"]
    boxes = page.of_class("scroll")
    assert [(box["tabindex"], box["role"]) for box in boxes] == [("0", "region")] * 2
    assert len({box["aria-label"] for box in boxes}) == 2
    names = [attrs["aria-label"] for tag, attrs in page.tags if tag == "summary"]
    assert len(set(names)) == len(names) == 5
    assert ".pic summary:focus-visible" in html


def test_text_from_outside_stays_text_and_nothing_is_fetched(html: str) -> None:
    """The page has no scripts, no handlers and no addresses but data URLs."""
    page = Page(html)
    assert ATTACK in page.text
    for tag, attrs in page.tags:
        assert tag not in {"script", "iframe", "object", "embed", "link", "form", "a"}
        for name, value in attrs.items():
            assert not name.startswith("on")
            if name in {"src", "href"}:
                assert (value or "").startswith("data:image/webp;base64,")
