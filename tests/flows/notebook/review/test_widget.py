"""The widget in a real kernel: messages of a page, and what a kill of the kernel leaves."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_kernel import Kernel
from lakes import Made, Shot, copied, lake_of

from assay.data.store.lake import Lake
from assay.tasks.review.answers import all_answers

# One kernel shows all lakes.
pytestmark = pytest.mark.xdist_group("kernel of the widget")

CELL = "import assay\nwidget = assay.review({lake!r}, where='true', reviewer='ann')"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Make a lake with six images, which no test writes to."""
    shots = [Shot(name=f"{seed}", seed=seed, prob=0.5) for seed in range(6)]
    return lake_of(tmp_path_factory.mktemp("widget") / "lake", shots)


class Page:
    """What a page is to the kernel: a widget's messages, by the comm that the cell opened.

    Args:
        kernel: Kernel of the notebook.
        lake: Lake that is reviewed.
    """

    def __init__(self, kernel: Kernel, lake: Lake) -> None:
        self.kernel = kernel
        self.lake = lake
        self.open()

    def open(self) -> None:
        """Run the cell, whose widget is another one each time."""
        ran = self.kernel.run(CELL.format(lake=self.lake.uri))
        assert ran.error is None, ran.error
        opened = [one for one in ran.of("comm_open") if "_reviewer" in one["data"]["state"]]
        self.comm = opened[0]["comm_id"]
        self.state = opened[0]["data"]["state"]

    def send(self, content: Any) -> list[dict[str, Any]]:
        """Send a message and return the replies."""
        data = {"method": "custom", "content": content}
        ran = self.kernel.send("comm_msg", {"comm_id": self.comm, "data": data})
        told = [one["data"] for one in ran.of("comm_msg") if one["comm_id"] == self.comm]
        for one in told:
            if one["method"] == "update":
                self.state |= one["state"]
        return [one["content"] for one in told if one["method"] == "custom"]

    def answer(self, label: str, place: int) -> str:
        """Answer as a page does, and return the id once the reply names it."""
        (looked,) = self.send(
            {"type": "look", "number": "a", "start": place, "n": 1, "size": "small"}
        )
        told = {
            "answer_id": uuid.uuid4().hex,
            "image_id": looked["items"][0]["image_id"],
            "label": label,
        }
        (reply,) = self.send({"type": "answers", "number": "b", "answers": [told]})
        assert reply["type"] == "saved", reply
        assert (reply["ids"], reply["number"]) == ([told["answer_id"]], "b")
        return told["answer_id"]


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    kernel = Kernel(tmp_path_factory.mktemp("kernel"))
    yield kernel
    kernel.kill()


@pytest.fixture
def page(kernel: Kernel, made: Made, tmp_path: Path) -> Page:
    """Open the page of a lake of the test's own, without answers."""
    return Page(kernel, copied(made, tmp_path / "lake").lake)


def test_counts_come_with_the_reply(page: Page) -> None:
    """The page draws them together; the lake is known by a hash alone."""
    assert page.state["_state"]["answered"] == 0
    page.answer("fake", 0)
    assert page.state["_state"]["answered"] == 1
    assert len(page.state["_lake"]) == 16
    assert page.state["_reviewer"] == "ann"


@pytest.mark.parametrize(
    "message",
    [
        None,
        [],
        "look",
        {},
        {"type": "answers"},
        {"type": "answers", "answers": {"a": 1}},
        {"type": "look", "start": {}, "n": 1, "size": "small"},
        {"type": "look", "start": 0, "n": 10**30, "size": "small"},
        {"type": "answers", "answers": [7, None, "x"]},
        {"type": "<script>" * 100},
    ],
)
def test_a_message_that_no_page_sends_changes_nothing(page: Page, message: Any) -> None:
    """It gets a short reply or none, and the widget goes on."""
    page.answer("fake", 0)
    for reply in page.send(message):
        assert reply["type"] in {"failed", "saved"}
        assert len(str(reply)) < 500
    assert all_answers(page.lake).collect().height == 1
    (reply,) = page.send({"type": "look", "start": 0, "n": 1, "size": "small"})
    assert len(reply["items"]) == 1


def test_answers_outlive_a_kill_of_the_kernel(page: Page) -> None:
    """Each that a reply named is there once; the cell run again goes on after them."""
    labels = ["fake", "real", "laundered"]
    given = [page.answer(label, place) for place, label in enumerate(labels)]
    page.kernel.kill()
    answers = all_answers(Lake(page.lake.uri, create=False)).collect()
    assert sorted(answers["answer_id"]) == sorted(given)

    page.kernel.start()
    page.open()
    assert page.state["_state"]["answered"] == 3
    assert page.state["_start"] == 3
    assert page.state["_state"]["left"] == 3
    (looked,) = page.send({"type": "look", "start": 0, "n": 4, "size": "small"})
    assert [item["label"] for item in looked["items"]] == [*labels, None]
    last = page.state["_state"]["undo"][-1]
    back = {"answer_id": uuid.uuid4().hex, "withdraws": last["answer_id"]}
    (reply,) = page.send({"type": "answers", "answers": [back | {"image_id": last["image_id"]}]})
    assert reply["saved"] == {last["image_id"]: None}


def test_an_answer_that_the_kill_left_unnamed_is_taken_from_the_page(page: Page) -> None:
    """A page keeps what no reply named, and sends it to the widget of the new kernel."""
    (looked,) = page.send({"type": "look", "start": 4, "n": 1, "size": "small"})
    image_id = looked["items"][0]["image_id"]
    told = {"answer_id": uuid.uuid4().hex, "image_id": image_id, "label": "unsure"}
    page.send({"type": "answers", "answers": [told]})  # its reply is lost with the page
    page.kernel.kill()
    page.kernel.start()
    page.open()
    (reply,) = page.send({"type": "answers", "answers": [told]})
    assert reply["ids"] == [told["answer_id"]]
    rows = all_answers(Lake(page.lake.uri, create=False)).collect()
    assert rows["answer_id"].to_list().count(told["answer_id"]) == 1
