"""JupyterLab in a browser: the review widget by keyboard alone, and the notebooks of `examples`."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browsers import chromium, serious
from import_graph import ROOT
from jupyterlab import Notebook, jupyterlab, written
from lakes import Made, Shot, lake_of

from assay.data.store.lake import Lake
from assay.tasks.review.answers import all_answers, standing_answers

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("jupyterlab")]

REVIEW = "import assay\nassay.review('lake', where='true', reviewer='ann')"
WIDGET = ".assay-review"
IMAGE = ".assay-review .frame img"
SAVED = "document.querySelector('.assay-review').dataset.saved === 'saved'"
N_IMAGES = 14


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Make the lake of the reviews."""
    shots = [Shot(name=f"{seed}.jpg", seed=seed, prob=0.5) for seed in range(N_IMAGES)]
    return lake_of(tmp_path_factory.mktemp("jupyterlab") / "lake", shots)


@pytest.fixture(scope="module")
def folder(made: Made) -> Path:
    return Path(made.lake.uri).parent


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    with jupyterlab(folder) as url:
        yield url


def answers(folder: Path) -> Any:
    return all_answers(Lake(folder / "lake", create=False)).sort("reviewed_at").collect()


def labels(folder: Path) -> list[str]:
    rows = standing_answers(Lake(folder / "lake", create=False)).sort("reviewed_at").collect()
    return rows["label"].to_list()


def opened(browser: Any, url: str, path: Path, **options: Any) -> Notebook:
    """Open a notebook, run it, and put the focus on its widget."""
    notebook = Notebook(browser, url, path.name, **options)
    notebook.run_all()
    notebook.page.wait_for_selector(f"{WIDGET} .veil")
    notebook.page.focus(WIDGET)
    return notebook


def test_images_are_reviewed_by_keyboard_and_answers_outlive_the_kernel(
    browser: Any, url: str, folder: Path
) -> None:
    """Blurred until `b`; labels, undo and a correction; a kernel that is restarted."""
    path = written(folder / "review.ipynb", REVIEW)
    notebook = opened(browser, url, path)
    page = notebook.page
    n_cells = page.locator(".jp-Notebook .jp-Cell").count()
    assert page.locator(f"{WIDGET} .sharp").count() == 0
    notebook.press("b")
    assert page.locator(f"{WIDGET} .sharp").count() == 1
    notebook.press("?", "s")
    assert serious(page, WIDGET) == []
    notebook.press("?", "s")

    for key in "rflu":
        page.wait_for_selector(IMAGE)
        notebook.press(key)
    page.wait_for_function(SAVED)
    assert page.locator(f"{WIDGET} .sharp").count() == 0
    assert labels(folder) == ["real", "fake", "laundered", "unsure"]
    assert set(answers(folder)["origin"]) == {"notebook"}

    notebook.press("z")
    page.wait_for_selector(IMAGE)
    notebook.press("f")
    page.wait_for_function(SAVED)
    assert labels(folder) == ["real", "fake", "laundered", "fake"]
    assert answers(folder).height == 6

    # Keys of JupyterLab's command mode, such as b for a new cell, stayed out.
    assert page.locator(".jp-Notebook .jp-Cell").count() == n_cells

    # The kernel is gone, then another one runs, which knows nothing of the widget.
    notebook.restart_kernel()
    page.focus(WIDGET)
    page.wait_for_selector(IMAGE)
    notebook.press("r")
    page.wait_for_selector(f"{WIDGET}[data-saved=late]", timeout=30_000)
    assert "not saved yet" in page.inner_text(f"{WIDGET} .status")
    assert answers(folder).height == 6
    notebook.run_all()
    page.wait_for_function(
        "document.querySelector('.assay-review .head').innerText.startsWith('5 answered')",
        timeout=60_000,
    )
    assert labels(folder) == ["real", "fake", "laundered", "fake", "real"]
    assert answers(folder)["answer_id"].is_unique().all()

    # What was answered before the restart can be taken back after it.
    page.wait_for_selector(f"{WIDGET} .veil")
    page.focus(WIDGET)
    notebook.press("z")
    page.wait_for_function(SAVED)
    assert labels(folder) == ["real", "fake", "laundered", "fake"]
    assert notebook.problems == []
    page.close()


def test_the_grid_labels_many_at_once_and_asks_no_other_host(
    browser: Any, url: str, folder: Path
) -> None:
    """Three selected images, one key; at the end the widget says so."""
    written(folder / "grid.ipynb", REVIEW)
    notebook = opened(browser, url, folder / "grid.ipynb")
    page = notebook.page
    n_before = len(labels(folder))
    notebook.press("g")
    page.wait_for_function("document.querySelectorAll('.assay-review .cell img').length >= 6")
    assert serious(page, WIDGET) == []
    notebook.press(" ", "ArrowRight", " ", "ArrowRight", " ", "l")
    page.wait_for_function(SAVED)
    assert labels(folder)[n_before:] == ["laundered"] * 3
    notebook.press("g")
    for _ in range(N_IMAGES - n_before - 3):
        page.wait_for_selector(IMAGE)
        notebook.press("u")
    page.wait_for_function(SAVED)
    assert len(labels(folder)) == N_IMAGES
    assert "last image" in page.inner_text(f"{WIDGET} .stage")
    hosts = {address.split("/")[2] for address in notebook.requested if address.startswith("http")}
    assert hosts == {url.split("/")[2]}
    page.close()


@pytest.mark.parametrize(
    "name", ["first_look", "who_evades", "training_loop", "threshold_with_guarantee"]
)
def test_a_notebook_of_the_examples_runs_to_its_end(
    browser: Any, tmp_path: Path, name: str
) -> None:
    """Run All, no cell with an error, no line on stderr."""
    shutil.copyfile(ROOT / "examples" / f"{name}.ipynb", tmp_path / f"{name}.ipynb")
    with jupyterlab(tmp_path) as url:
        notebook = Notebook(browser, url, f"{name}.ipynb", viewport={"width": 1180, "height": 4000})
        notebook.run_all(timeout_s=180)
        stderr = "[data-mime-type='application/vnd.jupyter.stderr']"
        assert notebook.page.locator(stderr).all_inner_texts() == []
        assert notebook.problems == []
        notebook.page.close()
