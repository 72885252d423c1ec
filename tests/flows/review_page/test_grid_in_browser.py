"""Grid and run view in a browser, by keys: what is selected, labelled, taken back and recounted."""

import hashlib

import lakes
import pytest
from browsers import Tab, chromium, is_wider_than_its_window, serious
from lakes import Shot
from page_servers import PageServer

from assay.data.vocabulary import Decision
from assay.tasks.decide.policy_file import load_policy
from assay.tasks.evasion.table import wilson
from assay.tasks.review.answers import all_answers, settle, standing_answers
from assay.tasks.runs.run_record import find_run, run_images

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# Scores 0.00, 0.02 ... 0.98, half of them labelled; every third image has a domain.
SHOTS = [
    Shot(
        name=f"{n:02}.jpg",
        prob=n / 50,
        seed=n % 7,
        raw=None,
        size=(480, 440 + n),
        domain="art" if n % 3 == 0 else None,
        label=("fake" if n > 20 else "real") if n % 2 else None,
    )
    for n in range(50)
]


@pytest.fixture(scope="module")
def browser():
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Make a run that decides each image by its own score: the pictures are copies of seven."""
    folder = tmp_path_factory.mktemp("grid") / "lake"
    alone = load_policy().model_copy(update={"copies": "alone"})
    rejected = [("file:///in/x.txt", "not_an_image", "text")]
    rules = alone.as_dict()
    return lakes.lake_of(folder, SHOTS, rejected=rejected, policy=alone, policy_rules=rules)


@pytest.fixture(scope="module")
def server(made):
    with PageServer(made.lake.uri) as started:
        yield started


@pytest.fixture
def tab(browser, server, request):
    name = hashlib.sha256(request.node.name.encode()).hexdigest()[:12]
    opened = Tab(browser, server.url, viewport={"width": 1280, "height": 900})
    opened.review_as(name, "/grid?sort=highest&n=30")
    opened.name = name
    yield opened
    opened.close()


def ids(tab, condition="true"):
    """Return the ids of the tiles that meet a condition, in their order."""
    return tab.page.evaluate(
        "[...document.querySelectorAll('#tiles > li')]"
        f".filter((tile) => {condition}).map((tile) => tile.dataset.id)"
    )


def selected(tab):
    return ids(tab, "tile.getAttribute('aria-selected') === 'true'")


def n_selected(tab):
    return int(tab.page.inner_text("#n-selected").replace(",", ""))


def answers(made, tab):
    """Return the answers that stand, by image."""
    tab.wait_until_saved()
    rows = standing_answers(made.lake).collect().filter(reviewer=tab.name)
    return dict(rows.select("image_id", "label").iter_rows())


def test_arrows_move_the_one_focus_and_space_selects(tab):
    """One tile is in the order of the tab key; with shift the arrows select on the way."""
    shown = ids(tab)
    tab.press("t", "ArrowRight", "ArrowRight", "Space")
    assert selected(tab) == [shown[2]]
    assert ids(tab, "tile.tabIndex === 0") == [shown[2]]
    tab.press("Shift+ArrowRight", "Shift+ArrowRight")
    assert selected(tab) == shown[2:5]
    tab.press("Home", "Space", "End", "Shift+Space")
    assert n_selected(tab) == 30
    tab.press("Escape")
    assert selected(tab) == []
    tab.press("Control+a")
    assert selected(tab) == shown


def test_the_mouse_selects_too(tab):
    """A click one, a click with shift all up to there."""
    shown = ids(tab)
    tiles = tab.page.locator("#tiles > li")
    tiles.nth(1).click()
    tiles.nth(4).click(modifiers=["Shift"])
    assert selected(tab) == shown[1:5]
    tiles.nth(2).click()
    assert selected(tab) == [shown[1], shown[3], shown[4]]


def test_images_are_veiled_until_they_are_asked_for(tab):
    """No thumbnail is even requested before."""
    assert not [url for url in tab.asked if "/thumbnail.webp" in url or "/view.jpg" in url]
    tab.press("t")
    tab.press("v")
    first = ids(tab)[0]
    tab.page.wait_for_selector(f"img[src='/grid/image/{first}/thumbnail.webp']")
    assert len(tab.page.query_selector_all("#tiles img.veil")) == 29
    tab.press("h")
    assert not tab.page.query_selector_all("#tiles img.veil")
    tab.press("h")
    assert len(tab.page.query_selector_all("#tiles img.veil")) == 30


def test_many_labels_are_one_request_and_one_undo(tab, made):
    """What is labelled is on disk when the page says so; undo takes back all of it."""
    tab.press("t", "Space", "Shift+ArrowRight", "Shift+ArrowDown")
    chosen = selected(tab)
    assert len(chosen) > 5
    before = [url for url in tab.asked if url.endswith("/answers")]
    tab.press("n")
    tab.page.keyboard.type("1 is text here")
    tab.press("Escape", "3")
    assert answers(made, tab) == dict.fromkeys(chosen, "laundered")
    assert len([url for url in tab.asked if url.endswith("/answers")]) == len(before) + 1
    rows = all_answers(made.lake).collect().filter(reviewer=tab.name)
    assert set(rows["note"]) == {"1 is text here"}
    assert set(rows["kind"]) == {"grid"}
    assert selected(tab) == []
    tab.press("z")
    tab.page.wait_for_selector("#undo:disabled")
    assert answers(made, tab) == {}
    assert all_answers(made.lake).collect().filter(reviewer=tab.name).height == 2 * len(chosen)


def test_a_selection_goes_on_over_pages_and_over_all_that_match(tab, made):
    """Fifty images on two pages."""
    tab.press("t", "Space", "]")
    tab.page.wait_for_selector("#previous")
    assert len(ids(tab)) == 20
    tab.press("Space")
    assert n_selected(tab) == 2
    tab.press("m")
    tab.page.wait_for_selector("#n-selected:text-is('50')")
    tab.press("4")
    assert answers(made, tab) == dict.fromkeys(made.ids.values(), "unsure")
    tab.press("z")
    tab.page.wait_for_selector("#undo:disabled")
    assert answers(made, tab) == {}


def test_filters_are_in_the_address_and_come_back(tab, made):
    """By keys alone; the back key of the browser leads to the results before."""
    tab.press("/")
    tab.page.keyboard.type("/07.")
    tab.page.wait_for_url("**text=%2F07.*")
    tab.page.wait_for_selector("#tiles > li:only-child")
    assert ids(tab) == [made.ids["07.jpg"]]
    assert tab.page.evaluate("document.activeElement.id") == "text"
    tab.page.reload()
    assert ids(tab) == [made.ids["07.jpg"]]
    tab.page.go_back()
    tab.page.wait_for_selector("#tiles > li:nth-child(30)")
    assert tab.page.input_value("#text") == ""


def test_a_batch_outlasts_a_server_that_is_gone(browser, made):
    """It stays in the browser, also over a new page, and is recorded once when it is back."""
    with PageServer(made.lake.uri) as server:
        tab = Tab(browser, server.url).review_as("cut off", "/grid?n=30&sort=id")
        tab.name = "cut off"
        tab.press("t", "Control+a")
        chosen = selected(tab)
        server.kill()
        tab.press("2")
        tab.page.wait_for_selector("#notice:not([hidden])")
        assert "30 answers are kept in this browser" in tab.page.inner_text("#notice")
        assert answers_now(made, tab) == {}
        server.start()
        tab.page.goto(server.url + "/grid")
        assert answers(made, tab) == dict.fromkeys(chosen, "fake")
        assert all_answers(made.lake).collect().filter(reviewer="cut off").height == 30
        tab.close()


def answers_now(made, tab):
    rows = standing_answers(made.lake).collect().filter(reviewer=tab.name)
    return dict(rows.select("image_id", "label").iter_rows())


def test_thresholds_recount_as_the_scores_have_it(tab, made):
    """Counts, precision with its interval, and the policy, by keys."""
    tab.page.goto(f"{tab.url}/runs/{made.run_id}")
    tab.page.wait_for_selector("#recount:not([hidden])")
    for _ in range(15):
        tab.press("}")
    for _ in range(5):
        tab.press("[")
    settle(made.lake)
    rows = run_images(made.lake, find_run(made.lake, made.run_id)).collect()
    expected = dict.fromkeys(Decision, 0)
    flagged = []
    for score, label in rows.select("prob_fake", "label").iter_rows():
        decision = "flag" if score >= 0.8 else "review" if score >= 0.3 else "clear"
        expected[decision] += 1
        flagged += [label] * (decision == "flag" and label is not None)
    shown = tab.page.evaluate(
        "Object.fromEntries([...document.querySelectorAll('#recount-rows tr')].map((row) =>"
        " [row.cells[0].textContent.slice(1), Number(row.cells[2].textContent)]))"
    )
    assert shown == {name.value: n for name, n in expected.items()}
    fakes = flagged.count("fake")
    low, high = (f"{100 * end:.0f}" for end in wilson(fakes, len(flagged)))
    text = tab.page.inner_text("#recount-labels")
    assert f"(95 % CI {low} to {high} %; {fakes} of {len(flagged)})" in text
    policy = tab.page.inner_text("#policy-lines")
    assert '[detectors."mini"]\nreview_at = 0.3\nflag_at = 0.8' in policy
    tab.page.click("#see-flagged")
    tab.page.wait_for_selector("#results")
    assert int(tab.page.get_attribute("#results", "data-n")) == expected["flag"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 768, 2560])
def test_axe_finds_nothing_serious_in_use(browser, server, made, scheme, width):
    """With a selection, shown images, the keys, a run with moved thresholds, and refused values."""
    tab = Tab(
        browser, server.url, viewport={"width": width, "height": 900}, color_scheme=scheme
    ).review_as(f"axe {scheme} {width}", "/grid?label=fake")
    tab.press("t", "Space", "Shift+ArrowRight", "h", "i")
    tab.page.wait_for_load_state("networkidle")
    assert serious(tab.page) == []
    assert not is_wider_than_its_window(tab.page)
    tab.press("?")
    assert serious(tab.page) == []
    tab.page.goto(f"{tab.url}/runs/{made.run_id}")
    tab.page.wait_for_selector("#recount:not([hidden])")
    tab.press("}", "[")
    for details in tab.page.query_selector_all("details > summary"):
        details.click()
    assert serious(tab.page) == []
    assert not is_wider_than_its_window(tab.page)
    tab.page.goto(f"{tab.url}/grid?label=nope")
    assert serious(tab.page) == []
    tab.close()
