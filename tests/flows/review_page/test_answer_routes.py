"""An answer that was acknowledged is on disk, once, as it was given."""

import time
import uuid

import pytest
from lakes import Shot, lake_of
from page_clients import reviewer

from assay.data.errors import StoreError
from assay.flows.review_page.desk import Desk
from assay.flows.review_page.tickets import kind_of_ticket, ticket_of
from assay.tasks.review.answers import all_answers, standing_answers


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return lake_of(tmp_path_factory.mktemp("lakes") / "lake", [Shot(name=n) for n in "a"])


@pytest.fixture(scope="module")
def ada(made):
    return reviewer(made.lake)


def given(made, **changes):
    return {"answer_id": uuid.uuid4().hex, "image_id": made.ids["a"], "label": "fake"} | changes


def send(client, *answers, reviewer="ada"):
    return client.post("/answers", json={"reviewer": reviewer, "answers": list(answers)})


def stored(made, answer):
    rows = all_answers(made.lake, [made.ids["a"]]).collect()
    return [row for row in rows.to_dicts() if row["answer_id"] == answer["answer_id"]]


def test_an_acknowledged_answer_is_stored_with_all_that_was_said(made, ada):
    """Nothing of it waits in the memory of the server."""
    answer = given(
        made,
        label="laundered",
        reason="known_source",
        note="seen <b>elsewhere</b>",
        shown=["score", "map"],
        seconds=1.5,
        run_id=made.run_id,
    )
    assert send(ada, answer).json() == {"recorded": [answer["answer_id"]], "refused": []}
    (row,) = stored(made, answer)
    assert {name: row[name] for name in answer} == answer
    assert (row["reviewer"], row["origin"], row["kind"]) == ("ada", "page", "queue")


def test_an_answer_that_arrives_twice_is_stored_once(made, ada):
    """The acknowledgement of the first may have been lost on its way."""
    answer = given(made)
    for _ in range(3):
        assert send(ada, answer, answer).json()["recorded"] == [answer["answer_id"]] * 2
    assert len(stored(made, answer)) == 1


def test_an_answer_that_arrives_late_has_the_time_at_which_it_was_given(made, ada):
    """The server was away for an hour; two answers keep their order."""
    at_ms = 1000 * (time.time() - 3600)
    first, second = given(made, at_ms=at_ms), given(made, at_ms=at_ms + 1)
    send(ada, second)
    send(ada, first)
    ((early,), (late,)) = stored(made, first), stored(made, second)
    assert early["reviewed_at"].timestamp() * 1000 == pytest.approx(at_ms, abs=1)
    assert late["reviewed_at"] > early["reviewed_at"]


def test_an_answer_is_not_of_a_time_to_come(made, ada):
    """The clock of the browser was put forward; such an answer would overrule all later ones."""
    answer = given(made, at_ms=1000 * (time.time() + 3600))
    send(ada, answer)
    (row,) = stored(made, answer)
    assert row["reviewed_at"].timestamp() <= time.time()


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"image_id": "0" * 64}, "has no image 000"),
        ({"image_id": "../../etc/passwd"}, "is not an id"),
        ({"label": "genuine"}, "label 'genuine' is unknown; allowed: real"),
        ({"note": "a" * 5_001}, "the note has 5,001 characters"),
        ({"reason": "because"}, "reason 'because' is unknown"),
        ({"seconds": -1}, "from 0 on"),
        ({"shown": ["everything"]}, "unknown"),
        ({"withdraws": "0" * 32}, "has given no answer 000"),
    ],
)
def test_an_answer_that_cannot_be_stored_holds_up_no_other(made, ada, changes, problem):
    """The page shows it with the reason; the others are on disk."""
    before, refused, after = given(made), given(made, **changes), given(made)
    taken = send(ada, before, refused, after).json()
    assert taken["recorded"] == [before["answer_id"], after["answer_id"]]
    ((one,),) = [taken["refused"]]
    assert one["answer_id"] == refused["answer_id"]
    assert problem in one["problem"]
    assert stored(made, refused) == []


def test_an_id_that_was_used_for_another_answer_is_refused(made, ada):
    """The first stays as it was."""
    answer = given(made, label="real")
    send(ada, answer)
    (refused,) = send(ada, answer | {"label": "fake"}).json()["refused"]
    assert "was used for another answer" in refused["problem"]
    assert [row["label"] for row in stored(made, answer)] == ["real"]


def test_an_answer_is_taken_back_by_another_row(made):
    """What was said stays in the table, and counts no more."""
    eve = reviewer(made.lake, name="eve")
    answer = given(made)
    back = given(made, label="unsure", withdraws=answer["answer_id"])
    assert send(eve, answer, back, reviewer="eve").json()["refused"] == []
    assert len(stored(made, answer)) == 1
    standing = standing_answers(made.lake, [made.ids["a"]]).collect()
    assert "eve" not in set(standing["reviewer"])


def test_answers_of_another_reviewer_wait_in_the_browser(made, ada):
    """A second tab has changed the name; nothing is stored under the wrong one."""
    answer = given(made)
    taken = send(ada, answer, reviewer="bob")
    assert taken.status_code == 409
    assert "another reviewer" in taken.json()["problem"]
    assert stored(made, answer) == []


@pytest.mark.parametrize(
    "body",
    [
        {"reviewer": "ada"},
        {"reviewer": "ada", "answers": [{}]},
        {"reviewer": "ada", "answers": [{"answer_id": "a", "image_id": "b", "label": "c", "x": 1}]},
        {"reviewer": "ada", "answers": [{"answer_id": 1}] * 201},
        ["ada"],
    ],
)
def test_a_body_of_another_shape_is_refused_in_one_sentence(ada, body):
    """It comes from another version of the page, which is loaded again."""
    answer = ada.post("/answers", json=body, headers={"Accept": "*/*"})
    assert answer.status_code == 422
    assert 0 < len(answer.json()["problem"]) <= 300


def test_a_journal_that_cannot_be_written_acknowledges_nothing(made, ada, monkeypatch):
    """The status tells the script to send the same again."""

    def full(*_):
        raise StoreError("no space left on the device")

    monkeypatch.setattr("assay.tasks.review.journal.Journal.record", full)
    answer = send(ada, given(made))
    assert answer.status_code == 503
    assert "no space left" in answer.json()["problem"]


def test_a_selection_of_the_grid_is_stored_as_one(made, ada):
    """Its images were chosen by the reviewer, which the measures of agreement must know."""
    answer = given(made, view="grid")
    send(ada, answer)
    assert [row["kind"] for row in stored(made, answer)] == ["grid"]


@pytest.mark.parametrize("kind", ["queue", "golden", "audit", "second", "appeal"])
def test_a_ticket_hides_the_kind_and_gives_it_back(made, ada, kind):
    """Two tickets of a kind have nothing in common, and none is readable."""
    desk: Desk = ada.app.state.desk
    one, other = (ticket_of(desk, "ada", made.ids["a"], kind) for _ in range(2))
    assert one != other
    assert set(one) <= set("0123456789abcdef")
    answer = given(made, ticket=one)
    send(ada, answer)
    assert [row["kind"] for row in stored(made, answer)] == [kind]


@pytest.mark.parametrize(
    ("who", "image", "ticket"),
    [("eve", None, None), ("ada", "0" * 64, None), ("ada", None, ""), ("ada", None, "é" * 48)],
)
def test_a_ticket_for_another_item_says_nothing(made, ada, who, image, ticket):
    """Its answer counts as one of the queue."""
    desk: Desk = ada.app.state.desk
    mine = ticket_of(desk, "ada", made.ids["a"], "golden")
    given_ticket = mine if ticket is None else ticket
    assert kind_of_ticket(desk, who, image or made.ids["a"], given_ticket) == "queue"
