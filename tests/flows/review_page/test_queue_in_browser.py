"""The queue in a browser: what keys do, what a reader sees, and what a screen reader finds."""

import hashlib

import pytest
from browsers import Tab, chromium, is_wider_than_its_window, serious
from page_clients import TOKEN
from page_lakes import page_lake
from page_servers import PageServer

from assay.flows.review_page.views import VIEWS
from assay.tasks.review.answers import all_answers

pytestmark = [pytest.mark.browser, pytest.mark.slow]

BROKEN = b"\xff\xd8\xff\xe0 no image"
PATHS = [view.nav.path for view in VIEWS if view.nav is not None]


@pytest.fixture(scope="module")
def browser():
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lake") / "lake"
    return page_lake(folder, n_shown=500, n_rows=0, more=(BROKEN,))


@pytest.fixture(scope="module")
def server(lake):
    with PageServer(lake.uri) as started:
        yield started


@pytest.fixture
def tab(browser, server, request):
    name = hashlib.sha256(request.node.name.encode()).hexdigest()[:12]
    opened = Tab(browser, server.url, viewport={"width": 1280, "height": 800}).review_as(name)
    opened.name = name
    yield opened
    opened.close()


def rows(lake, tab):
    tab.wait_until_saved()
    return all_answers(lake).collect().filter(reviewer=tab.name).sort("reviewed_at").to_dicts()


def test_an_image_is_hidden_until_it_is_asked_for(tab):
    """Blurred and grey, each one anew."""
    looks = "getComputedStyle(document.querySelector('#stage img.main')).filter"
    first = tab.image_id()
    assert tab.page.evaluate(looks) == "grayscale(1) blur(28px)"
    tab.press("Space")
    assert tab.page.evaluate(looks) == "none"
    tab.press("2")
    tab.image_id(after=first)
    assert tab.page.evaluate(looks) == "grayscale(1) blur(28px)"


def test_an_answer_says_what_was_shown_why_and_what_was_noted(tab, lake):
    """Score and reasons were opened; the copies were not."""
    image_id = tab.image_id()
    tab.press("s", "n")
    tab.page.keyboard.type("1 and 2 are text here")
    tab.press("Escape", "e", "Tab", "Shift+Tab", "ArrowDown", "Escape", "2")
    tab.image_id(after=image_id)
    (row,) = rows(lake, tab)
    assert (row["image_id"], row["label"]) == (image_id, "fake")
    assert row["shown"] == ["score", "reasons"]
    assert row["note"] == "1 and 2 are text here"
    assert row["reason"] == "visible_artefacts"
    assert 0 < row["seconds"] < 60
    assert row["run_id"] is not None


def test_an_answer_is_taken_back_by_a_key(tab, lake):
    """The image is on the stage again, and its second answer counts."""
    image_id = tab.image_id()
    tab.press("1")
    following = tab.image_id(after=image_id)
    tab.press("z")
    assert tab.image_id(after=following) == image_id
    tab.press("2")
    assert tab.image_id(after=image_id) == following
    first, back, second = rows(lake, tab)
    assert (first["label"], second["label"]) == ("real", "fake")
    assert back["withdraws"] == first["answer_id"]


def test_a_key_that_is_held_down_answers_once(tab, lake):
    """The key repeats itself many times a second."""
    image_id = tab.image_id()
    tab.page.keyboard.down("2")
    for _ in range(5):
        tab.page.keyboard.down("2")
    tab.page.keyboard.up("2")
    tab.image_id(after=image_id)
    assert len(rows(lake, tab)) == 1


def test_keys_do_nothing_where_they_are_switched_off(tab, lake):
    """For speech input, which types letters; the buttons go on working."""
    image_id = tab.image_id()
    tab.press("?")
    tab.page.uncheck("#keys-on")
    tab.press("Escape", "2", "1")
    assert tab.image_id() == image_id
    tab.page.click("button.label[data-label=fake]")
    tab.image_id(after=image_id)
    assert [row["label"] for row in rows(lake, tab)] == ["fake"]


def test_a_zoomed_image_is_the_larger_rendition(tab):
    """It moves by the arrow keys, and a key brings the whole image back."""
    tab.image_id()
    tab.press("+", "+", "+")
    tab.page.wait_for_selector("#stage img.main[src*='/zoom.']", state="attached")
    left = "document.querySelector('#stage .shot').scrollLeft"
    before = tab.page.evaluate(left)
    tab.press("ArrowRight")
    assert tab.page.evaluate(left) > before
    tab.press("0")
    assert tab.page.evaluate("document.querySelector('#stage .canvas').style.width") == "100%"


def test_an_image_that_cannot_be_shown_is_named_and_can_be_answered(browser, server, lake):
    """The reason stands in its place."""
    tab = Tab(browser, server.url).review_as("max")
    tab.name = "max"
    broken = hashlib.sha256(BROKEN).hexdigest()
    last = tab.image_id()
    while last != broken:
        tab.press("4")
        last = tab.image_id(after=last)
    text = tab.page.wait_for_selector("#stage .broken", state="visible").inner_text()
    assert text.startswith("This image cannot be shown: ")
    assert "It can be answered all the same." in text
    assert serious(tab.page) == []
    tab.press("4")
    tab.image_id(after=broken)
    assert rows(lake, tab)[-1]["image_id"] == broken
    tab.close()


def test_a_page_loaded_again_has_its_image_again_and_another_tab_has_another(tab):
    """Both are of one reviewer, who would otherwise answer an image twice."""
    first, page = tab.image_id(), tab.page
    tab.page = tab.context.new_page()
    tab.page.goto(tab.url + "/queue")
    assert tab.image_id() != first
    tab.page.close()
    tab.page = page
    tab.page.reload()
    assert tab.image_id() == first


def test_nothing_is_loaded_from_elsewhere(tab):
    """Every request goes to this server, in every view."""
    for path in PATHS:
        tab.page.goto(tab.url + path)
        tab.page.wait_for_load_state("networkidle")
    tab.press("?")
    assert {url.split("/")[2] for url in tab.asked} == {tab.url.split("/")[2]}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280, 2560])
def test_axe_finds_nothing_serious_and_nothing_is_cut_off(browser, server, scheme, width):
    """In every view, with the details open, with the keys, and in the forms before the views."""
    tab = Tab(
        browser, server.url, viewport={"width": width, "height": 900}, color_scheme=scheme
    ).review_as(f"axe {scheme} {width}")
    for path in PATHS:
        tab.page.goto(tab.url + path)
        tab.page.wait_for_load_state("networkidle")
        assert serious(tab.page) == [], path
        assert not is_wider_than_its_window(tab.page), path
    tab.page.goto(tab.url + "/queue")
    tab.image_id()
    tab.press("Space", "s", "i", "c")
    tab.page.wait_for_load_state("networkidle")
    assert serious(tab.page) == []
    assert not is_wider_than_its_window(tab.page)
    tab.press("?")
    assert serious(tab.page) == []
    for path in ("/name", "/nowhere"):
        tab.page.goto(tab.url + path)
        assert serious(tab.page) == [], path
    tab.close()


def test_the_login_is_done_by_keys_and_has_no_serious_problem(browser, lake):
    """Token, name, queue."""
    with PageServer(lake.uri, token=TOKEN) as server:
        tab = Tab(browser, server.url)
        tab.page.goto(tab.url)
        assert serious(tab.page) == []
        tab.page.focus("#token")
        tab.page.keyboard.type(TOKEN)
        tab.press("Enter")
        tab.page.wait_for_selector("#name:focus")
        tab.page.keyboard.type("zoe")
        tab.press("Enter")
        tab.image_id()
        assert TOKEN not in "".join(tab.asked)
        tab.close()
