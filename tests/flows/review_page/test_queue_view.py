"""The queue gives each image to one reviewer, with all that is known and nothing that is unsafe."""

import re
import uuid

import pytest
from lake_rows import store_images
from lakes import Shot, copied, lake_of, reviewed
from page_clients import reviewer

MARKUP = '<svg onload=alert(1)>&".svg.jpg'


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    shots = [Shot(name=f"{n}.jpg", seed=n, prob=0.4 + n / 20) for n in range(6)]
    return lake_of(tmp_path_factory.mktemp("queue") / "lake", shots)


@pytest.fixture
def made(template, tmp_path):
    return copied(template, tmp_path / "lake")


def items(client, n=4, **options):
    """Return the attributes of the articles that the queue returns, and their markup."""
    answer = client.post("/queue/items", params={"n": n} | options)
    assert answer.status_code == 200, answer.text
    articles = re.findall(r"<article(.*?)</article>", answer.text, re.S)
    return {re.search(r'data-image="(\w+)"', article)[1]: article for article in articles}


def answered(client, image_id, label="fake", reviewer="ada"):
    answer = {"answer_id": uuid.uuid4().hex, "image_id": image_id, "label": label}
    assert client.post("/answers", json={"reviewer": reviewer, "answers": [answer]}).is_success


def test_no_image_is_given_to_two_reviewers(made):
    """Two browsers at once share the queue out between them."""
    ada, bob = reviewer(made.lake), reviewer(made.lake, name="bob")
    first, second = items(ada, 4), items(bob, 4)
    assert not first.keys() & second.keys()
    assert first.keys() | second.keys() == set(made.ids.values())
    assert items(bob) == {}


def test_a_page_that_is_loaded_again_has_its_images_again(made):
    """The leases of the first are the reviewer's own."""
    ada = reviewer(made.lake)
    assert items(ada, 4, resume=True).keys() == items(ada, 4, resume=True).keys()
    assert not items(ada, 4).keys() & items(ada, 4, resume=True).keys()


def test_an_answered_image_does_not_come_again(made):
    """Neither to the reviewer nor to another."""
    ada = reviewer(made.lake)
    (image_id,) = items(ada, 1)
    answered(ada, image_id)
    bob = reviewer(made.lake, name="bob")
    assert image_id not in items(ada, 16, resume=True)
    assert image_id not in items(bob, 16)


def test_a_second_opinion_is_of_another_reviewer(made):
    """Only what others have answered comes up there."""
    ada, bob = reviewer(made.lake), reviewer(made.lake, name="bob")
    (image_id,) = items(ada, 1)
    answered(ada, image_id)
    ada.app.state.desk.journal.fold()
    assert items(bob, 4, second=True).keys() == {image_id}
    assert items(ada, 4, second=True) == {}


def test_an_item_says_score_and_reasons_in_words_and_no_kind(made):
    """They are in the page, hidden until asked; why it came up is not."""
    ada = reviewer(made.lake)
    (article,) = items(ada, 1).values()
    assert re.search(r"score <b>0\.\d{3}</b>", article)
    assert re.search(r"<li>score [\w ]+ threshold</li>|<li>score in the review band</li>", article)
    assert 'class="verdict card" hidden' in article
    assert not re.search(r"golden|audit|appeal|kind", article)


def test_markup_in_a_name_is_text(tmp_path):
    """The name of a file comes from a stranger, and goes into several pages."""
    made = lake_of(tmp_path / "lake", [Shot(name=MARKUP), Shot(name="b", seed=1, domain=MARKUP)])
    ada = reviewer(made.lake)
    html = "".join(items(ada, 2).values())
    for image_id in made.ids.values():
        for path in ("about", "copies"):
            html += ada.get(f"/queue/{path}/{image_id}").text
    assert "<svg" not in html
    assert "&lt;svg onload=alert(1)&gt;" in html


def test_leases_are_renewed_and_lost_ones_are_named(made):
    """An image whose lease was given to another is dropped by the page."""
    ada, bob = reviewer(made.lake), reviewer(made.lake, name="bob")
    mine, other = list(items(ada, 2)), list(items(bob, 1))
    kept = ada.post("/queue/renew", json={"image_ids": mine + other}).json()["kept"]
    assert kept == mine


def test_an_image_that_comes_back_by_undo_is_leased_again(made):
    """The answer had ended its lease."""
    ada, bob = reviewer(made.lake), reviewer(made.lake, name="bob")
    (image_id,) = items(ada, 1)
    answered(ada, image_id)
    assert ada.post("/queue/lease", json={"image_ids": [image_id]}).json()["kept"] == [image_id]
    assert bob.post("/queue/lease", json={"image_ids": [image_id]}).json()["kept"] == []


def test_provenance_and_history_are_shown(made):
    """Size, file, addresses, decisions."""
    ada = reviewer(made.lake)
    html = ada.get(f"/queue/about/{made.ids['0.jpg']}").text
    assert "480 x 440 px" in html
    assert "JPEG, quality 85" in html
    assert "0.jpg" in html
    assert "decision" in html


def test_answers_of_others_are_hidden_until_the_own_one_is_given(made):
    """An opinion that has seen another one is not independent."""
    reviewed(made, "0.jpg", "laundered", reviewer="bob")
    ada = reviewer(made.lake)
    path = f"/queue/about/{made.ids['0.jpg']}"
    before = ada.get(path).text
    assert "1 other answer" in before
    assert "laundered" not in before
    answered(ada, made.ids["0.jpg"])
    after = ada.get(path).text
    assert re.search(r"<b>laundered</b> by <bdi>bob</bdi>", after)


def test_near_copies_are_shown_with_their_labels(tmp_path):
    """A copy that was saved again has nearly the same hash, an unrelated image has not."""
    shots = [Shot(name="a"), Shot(name="b", quality=60), Shot(name="c", seed=9)]
    made = lake_of(tmp_path / "lake", shots)
    reviewed(made, "b", "real", reviewer="bob")
    html = reviewer(made.lake).get(f"/queue/copies/{made.ids['a']}").text
    assert html.count("<li>") == 1
    assert made.ids["b"] in html
    assert "<b>real</b>" in html


@pytest.mark.parametrize("path", ["about/{}", "copies/{}", "../image/{}/view.jpg"])
def test_a_page_that_is_older_than_the_lake_gets_an_answer_in_words(made, path):
    """The image was removed since; nothing fails but this one request."""
    answer = reviewer(made.lake).get("/queue/" + path.format("0" * 64))
    assert answer.status_code in {200, 404, 422}
    assert "Traceback" not in answer.text


@pytest.mark.parametrize("name", ["..%2f..", "A" * 64, "0" * 63, "%00" * 64])
def test_an_id_that_is_none_is_refused(made, name):
    """It never reaches the lake."""
    assert reviewer(made.lake).get(f"/image/{name}/view.jpg").status_code in {404, 422}


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (
            b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
            "unsupported image format (SVG",
        ),
        (b"\xff\xd8\xff" + b"\0" * 100, "file (JPEG"),
        (b"<html><body>hello</body></html>", "not an image (an HTML page"),
    ],
)
def test_bytes_that_are_no_image_are_never_served(made, raw, reason):
    """The page shows the reason in place of the image, and the image can be answered."""
    (place,) = store_images(made.lake, raw)
    ada = reviewer(made.lake)
    answer = ada.get(f"/image/{place.image_id}/view.jpg", headers={"Accept": "image/*"})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/json"
    assert reason in answer.json()["problem"]
    answered(ada, place.image_id)


def test_an_image_is_served_encoded_anew(made):
    """As JPEG, whatever it was, and private to the browser."""
    ada = reviewer(made.lake)
    for size in ("small", "view", "zoom"):
        answer = ada.get(f"/image/{made.ids['0.jpg']}/{size}.jpg")
        assert answer.headers["content-type"] == "image/jpeg"
        assert answer.headers["cache-control"].startswith("private, ")
        assert answer.content.startswith(b"\xff\xd8\xff")
    assert ada.get(f"/image/{made.ids['0.jpg']}/huge.jpg").status_code == 404


def test_nothing_of_an_image_is_stored_with_no_store(made):
    """Neither the image nor what is said of it."""
    ada = reviewer(made.lake, no_store=True)
    image_id = made.ids["0.jpg"]
    for path in (f"/image/{image_id}/view.jpg", f"/queue/about/{image_id}", "/queue"):
        assert ada.get(path).headers["cache-control"] == "no-store"


def test_a_map_that_cannot_be_drawn_says_why(made):
    """The detector of these scores is not on this machine."""
    answer = reviewer(made.lake).get(
        f"/image/{made.ids['0.jpg']}/map.png", headers={"Accept": "image/*"}
    )
    assert answer.status_code in {422, 500}
    assert "mini" in answer.json()["problem"]
