"""The page of `assay diff` shows what changed, with veiled images."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browsers import chromium, is_wider_than_its_window, serious
from html_page import Page
from lakes import KEY, Made, Shot, lake_of, reviewed
from processes import forked_command

from assay.tasks.decide.decide_images import decide_images
from assay.tasks.decide.policy_file import load_policy, policy_from_dict
from assay.tasks.publish.publish import publish
from assay.tasks.versions.compare import Kind, compare
from assay.tasks.versions.page import write_difference
from assay.tasks.versions.published import read_published


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Make a lake with datasets `a` and `b`, which differ in every way."""
    folder = tmp_path_factory.mktemp("pages")
    shots = [Shot(name=f"{n}", seed=n, prob=0.1 + 0.2 * n) for n in range(5)]
    made = lake_of(folder / "lake", shots)
    ids = list(made.ids.values())
    publish(made.lake, folder / "a", ids=ids[:4], format="webdataset")
    reviewed(made, "1", "real")
    band = {"default": {"review_at": 0.0, "flag_at": 0.001}}
    strict = policy_from_dict(load_policy().as_dict() | {"name": "strict"} | band, source="test")
    decide_images(made.lake, image_ids=None, key=KEY, policy=strict, run_id="r2")
    publish(
        made.lake,
        folder / "b",
        ids=ids[1:],
        fractions=(0.0, 0.0, 1.0),
        where="image_id != '<b>'",
        policy_id=strict.policy_id,
        key=KEY,
    )
    return made


@pytest.fixture(scope="module")
def address(made: Made) -> str:
    folder = Path(made.lake.uri).parent
    a, b = read_published(folder / "a"), read_published(folder / "b")
    found = compare(a, b, n_examples=12)
    assert all(found.count(kind) for kind in Kind)
    return Path(write_difference(a, b, found, folder / "page.html")).as_uri()


def test_every_change_has_its_count_and_its_images(made: Made, address: str) -> None:
    """Each image once per change, veiled; no script, no request, and text from outside as text."""
    page = Page(Path(address.removeprefix("file://")).read_text())
    for words in ("Added: 1 image", "Removed: 1 image", "Relabelled: 1 image", "1 added"):
        assert words in page.text
    assert "image_id != '<b>'" in page.text
    veils = page.attributes("img", "class").count("veil")
    assert veils == page.attributes("img", "class").count("sharp")
    assert veils >= 3
    assert page.scripts == []
    assert all(source.startswith("data:") for source in page.attributes("img", "src"))


@pytest.mark.xdist_group("forked commands")
def test_the_command_writes_the_page(made: Made) -> None:
    """It names the page, and refuses one that would replace a lock."""
    folder = Path(made.lake.uri).parent
    given = ("diff", "a", "b", "--page")
    done = forked_command(*given, "diff.html", cwd=folder, env=os.environ)
    assert done.returncode == 0, done.stderr
    assert f"page        {folder / 'diff.html'}" in done.stdout
    given = ("diff", "a/VERSIONS.lock", "b", "--page")
    done = forked_command(*given, "a/VERSIONS.lock", cwd=folder, env=os.environ)
    assert done.returncode == 2
    assert "give another file to write" in done.stderr


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width_px", [360, 1280])
def test_the_page_fits_its_window_and_reads_well(
    browser: Any, address: str, width_px: int, scheme: str
) -> None:
    """No scrolling sideways, axe-core finds nothing serious, and a click shows an image."""
    viewport = {"width": width_px, "height": 900}
    page = browser.new_page(viewport=viewport, color_scheme=scheme)
    page.goto(address)
    assert not is_wider_than_its_window(page)
    assert serious(page) == []
    page.locator(".pic summary").first.click()
    assert page.locator(".pic[open] .sharp").first.is_visible()
    page.close()
