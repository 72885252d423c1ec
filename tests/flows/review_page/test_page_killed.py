"""A server that is killed between or during requests loses no answer and doubles none."""

import itertools
import uuid

import httpx
import pytest
from lakes import Shot, lake_of
from page_servers import PageServer, named_client

from assay.tasks.review.answers import all_answers, settle


@pytest.fixture
def made(tmp_path):
    return lake_of(tmp_path / "lake", [Shot(name=n, seed=k) for k, n in enumerate("abcd")])


def send_until_taken(client, server, answers, *, deaths):
    """Send answers as the script does; where the server has died, start it again."""
    body = {"reviewer": "ada", "answers": answers}
    while True:
        try:
            taken = client.post("/answers", json=body)
        except httpx.TransportError:
            server.wait()
            server.start(**next(deaths))
            continue
        assert taken.status_code == 200, taken.text
        assert taken.json()["refused"] == []
        return taken.json()["recorded"]


def test_killed_during_requests_nothing_is_lost_or_doubled(made):
    """Before the answer is on disk, and after that but before the acknowledgement, in turn."""
    moments = [{"dies": dies, "at": 3} for dies in ("before", "after")]
    deaths = itertools.chain(moments * 4, itertools.repeat({}))
    sent = []
    server = PageServer(made.lake.uri)
    with server:
        client = named_client(server)
        server.kill()
        server.start(**next(deaths))
        image_ids = itertools.cycle(made.ids.values())
        for number in range(24):
            answers = [
                {"answer_id": uuid.uuid4().hex, "image_id": next(image_ids), "label": "fake"}
                for _ in range(1 + number % 3)
            ]
            assert send_until_taken(client, server, answers, deaths=deaths) == [
                answer["answer_id"] for answer in answers
            ]
            sent += [answer["answer_id"] for answer in answers]
    settle(made.lake)
    stored = made.lake.scan("reviews").collect()["answer_id"].to_list()
    assert sorted(stored) == sorted(sent)


def test_killed_between_requests_the_page_goes_on_with_its_session(made):
    """Cookie and form token are signed by the same key, so the open page notices nothing."""
    server = PageServer(made.lake.uri)
    with server:
        client = named_client(server)
        for image_id in made.ids.values():
            server.kill()
            server.start()
            answer = {"answer_id": uuid.uuid4().hex, "image_id": image_id, "label": "real"}
            send_until_taken(client, server, [answer], deaths=iter(()))
    assert all_answers(made.lake).collect().height == len(made.ids)
