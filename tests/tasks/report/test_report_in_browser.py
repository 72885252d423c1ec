"""The report in a browser: sliders, grid, keys, and what it is without its script."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browsers import Tab, chromium, is_wider_than_its_window, serious
from lakes import Made, Shot, decided_again, lake_of, synthesised

from assay.tasks.calibrate.calibrate import calibrate
from assay.tasks.calibrate.guarantee import guarantee_of
from assay.tasks.decide.policy_file import load_policy
from assay.tasks.report.write import write_report

pytestmark = [pytest.mark.browser, pytest.mark.slow]

ATTACK = "<img src=x onerror=window.hacked=1></script><script>window.hacked=1</script>"
N = 70


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """70 images with the scores 0.5/70, 1.5/70 ..., labels by half, two domains, one made image."""
    shots = [
        Shot(
            name=f"p{i:02}.jpg",
            seed=i,
            prob=(i + 0.5) / N,
            label=("real", "fake")[2 * i // N],
            domain=("photos", "art")[i % 2],
        )
        for i in range(N)
    ]
    made = lake_of(
        tmp_path_factory.mktemp("lake") / "lake",
        [*shots, Shot(name=f"{ATTACK}.jpg", seed=99, prob=None, domain=ATTACK)],
        rejected=[(f"{ATTACK}.txt", "not_an_image", ATTACK)],
        sources=[ATTACK],
    )
    synthesised(made, "p69.jpg", "p02.jpg")
    return made


@pytest.fixture(scope="module")
def address(made: Made) -> str:
    return Path(write_report(made.lake, run_id=made.run_id)).as_uri()


def opened(browser: Any, address: str, **options: Any) -> Tab:
    tab = Tab(browser, address, **{"viewport": {"width": 1280, "height": 900}} | options)
    tab.page.goto(address)
    if options.get("java_script_enabled", True):
        tab.page.wait_for_selector("html.has-grid")
    return tab


@pytest.fixture
def tab(browser: Any, address: str) -> Iterator[Tab]:
    tab = opened(browser, address)
    yield tab
    tab.close()


def scores(tab: Tab) -> list[str]:
    return tab.page.locator("#cards .score").all_inner_texts()


def shows(tab: Tab, selector: str, text: str) -> None:
    """Wait until an element has a text."""
    tab.page.locator(selector).filter(has_text=text).wait_for()


def counts(tab: Tab) -> list[list[str]]:
    rows = tab.page.locator("#recount-rows tr").all()
    return [row.locator("td").all_inner_texts() for row in rows]


def slide(tab: Tab, slider: str, value: float) -> None:
    """Move a slider to a threshold by keys."""
    steps = tab.page.evaluate("JSON.parse(document.getElementById('page-data').textContent).steps")
    tab.page.focus(slider)
    at = int(tab.page.input_value(slider))
    key = "ArrowRight" if steps.index(value) > at else "ArrowLeft"
    for _ in range(abs(steps.index(value) - at)):
        tab.page.keyboard.press(key)


def test_the_sliders_count_exactly(tab: Tab) -> None:
    """From 0.35 and 0.65 to 0.5 and 0.9: 35 are below, 28 between, 7 above, all of them fake."""
    assert [row[:2] for row in counts(tab)] == [["24", "24"], ["22", "22"], ["25", "25"]]
    slide(tab, "#flag-at", 0.9)
    slide(tab, "#review-at", 0.5)
    # One more image goes to review whatever the thresholds: it has no score.
    assert [row[1] for row in counts(tab)] == ["35", "29", "7"]
    assert tab.page.inner_text("#recount-labels td") == "100 % (95 % CI 65 to 100 %; 7 of 7)"
    lines = tab.page.inner_text("#policy-lines").splitlines()
    assert {"review_at = 0.5", "flag_at = 0.9"} < set(lines)
    assert tab.page.get_attribute("#flag-at", "aria-valuetext") == "0.9"
    tab.page.select_option("#slider-domain", label="art (35)")
    assert sum(int(row[1]) for row in counts(tab)) == 35
    assert tab.page.get_attribute("#flag-at", "aria-valuetext") == "0.65"
    assert tab.page.is_disabled("#slider-reset")


def test_filters_and_orders_show_the_rows(tab: Tab) -> None:
    """Decision, label, range, text, reset; the highest or the lowest score first."""
    page = tab.page
    assert page.inner_text("#grid-count") == "71 images, 0 selected"
    assert scores(tab)[:2] == ["0.993", "0.979"]
    page.select_option("#sort", "lowest")
    shows(tab, "#cards .score >> nth=0", "0.007")
    page.select_option("#filter-label", label="fake")
    page.fill("#filter-high", "0.6")
    shows(tab, "#grid-count", "7 images, 0 selected")
    assert scores(tab) == ["0.507", "0.521", "0.536", "0.550", "0.564", "0.579", "0.593"]
    page.click("#filter-reset")
    page.fill("#filter-text", "P03")
    shows(tab, "#grid-count", "1 image, 0 selected")
    page.fill("#filter-text", "nothing has this name")
    page.wait_for_selector("#none-found")


def test_keys_move_select_show_and_turn_pages(tab: Tab, made: Made) -> None:
    """The grid needs no mouse."""
    page = tab.page
    page.focus("#cards .card")
    tab.press("ArrowRight", "x", "ArrowRight", "Space", "Home", "x", "x")
    assert page.inner_text("#grid-count") == "71 images, 2 selected"
    assert not page.is_visible("#cards .card:first-child .sharp")
    tab.press("Enter")
    assert page.is_visible("#cards .card:first-child .sharp")
    tab.press("h")
    assert not page.is_visible("#cards .card:first-child .sharp")
    tab.press("n")
    assert page.inner_text("#page-at") == "61 to 71 of 71"
    assert page.evaluate("document.activeElement.className") == "card"
    tab.press("/")
    assert page.evaluate("document.activeElement.id") == "filter-text"
    page.evaluate("navigator.clipboard.writeText = (text) => { window.copied = text; }")
    page.click("#copy-ids")
    shows(tab, "#copy-ids", "Copied")
    chosen = {made.ids["p68.jpg"][:12], made.ids["p67.jpg"][:12]}
    assert set(page.evaluate("window.copied").split("\n")) == chosen


def test_images_are_blurred_and_grey(tab: Tab) -> None:
    """The veil lies over every image until it is opened."""
    looks = "(e) => getComputedStyle(e).filter"
    assert tab.page.locator("#cards .veil").first.evaluate(looks) == "grayscale(1) blur(9px)"
    assert tab.page.locator("#cards .sharp:visible").count() == 0


def test_text_from_outside_stays_text_and_nothing_is_requested(tab: Tab, address: str) -> None:
    """Names with markup run nothing, in the document nor through the script's data."""
    tab.page.fill("#filter-text", "onerror")
    shows(tab, "#grid-count", "1 image, 0 selected")
    assert "onerror" in tab.page.inner_text("#cards")
    assert tab.page.evaluate("window.hacked") is None
    assert [url for url in tab.asked if not url.startswith("data:")] == [address]


def test_without_scripts_the_figures_the_images_and_the_commands_are_there(
    browser: Any, address: str
) -> None:
    """Nothing that needs the script is shown."""
    tab = opened(browser, address, java_script_enabled=False)
    assert tab.page.locator("#galleries figure:visible").count() == N
    assert tab.page.locator("#pairs figure:visible").count() == 1
    for words in ("25 35.2%", "assay review serve", "not_an_image"):
        assert words in " ".join(tab.page.inner_text("main").split())
    for hidden in ("#grid", "#recount", "#old-browser"):
        assert not tab.page.is_visible(hidden)
    tab.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width_px", [360, 1280, 2560])
def test_the_page_fits_its_window_and_reads_well(
    browser: Any, address: str, width_px: int, scheme: str
) -> None:
    """No scrolling sideways, and axe-core finds nothing serious, contrast included."""
    viewport = {"width": width_px, "height": 900}
    tab = opened(browser, address, viewport=viewport, color_scheme=scheme)
    assert not is_wider_than_its_window(tab.page)
    assert serious(tab.page) == []
    tab.page.click("#layout")
    assert not is_wider_than_its_window(tab.page)
    assert serious(tab.page) == []
    tab.close()


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Write the report of a run whose thresholds have a guarantee."""
    shots = [
        Shot(
            name=f"{i}",
            seed=i,
            prob=(i + 0.5) / 90,
            label="real" if i < 60 else "fake",
            domain=("photos", "a domain with a very long name of many words" + "s" * 60)[i % 2],
            size=(96, 96),
        )
        for i in range(90)
    ]
    made = lake_of(tmp_path_factory.mktemp("calibrated") / "lake", shots)
    base = load_policy().model_copy(update={"min_short_edge_px": 0})
    decided_again(made, calibrate(made.lake, guarantee_of("fpr=5%"), base=base).policy, "r-2")
    return Path(write_report(made.lake, run_id="r-2")).as_uri()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width_px", [360, 1280, 2560])
def test_the_promise_fits_its_window_and_reads_well(
    browser: Any, calibrated: str, width_px: int, scheme: str
) -> None:
    """Tables and diagram stay in the window, and no table of it needs scrolling at 1280 px."""
    viewport = {"width": width_px, "height": 900}
    tab = opened(browser, calibrated, viewport=viewport, color_scheme=scheme)
    assert tab.page.locator("#promise svg").is_visible()
    assert not is_wider_than_its_window(tab.page)
    assert serious(tab.page, "#promise") == []
    cut = "(e) => e.scrollWidth > e.clientWidth"
    assert [one.evaluate(cut) for one in tab.page.locator("#promise .scroll").all()] == [False] * 2
    tab.close()
