"""The grid over HTTP: pages by address, images by size, and bad values refused in words."""

import re
from html import unescape

import lakes
import polars as pl
import pytest
from lakes import Shot
from page_clients import reviewer

SHOTS = [
    Shot(name="a.jpg", prob=0.05, seed=1, domain="news", label="real"),
    Shot(name="b.jpg", prob=0.4, seed=2, domain="art", label="fake"),
    Shot(name="c<script>alert(1)</script>.jpg", prob=0.9, seed=3, domain='"><b>'),
    Shot(name="d' OR 1=1 --.jpg", prob=0.99, seed=4),
    Shot(name="e.jpg", prob=None, seed=5),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return lakes.lake_of(tmp_path_factory.mktemp("grid") / "lake", SHOTS)


@pytest.fixture(scope="module")
def ada(made):
    with reviewer(made.lake) as client:
        yield client


def names(made, page):
    """First letters of the shots on a page, in order."""
    by_id = {image_id: name[0] for name, image_id in made.ids.items()}
    return "".join(by_id[found] for found in re.findall(r'data-id="([0-9a-f]{64})"', page.text))


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("", "edcba"),
        ("sort=highest", "dcbae"),
        ("sort=lowest&n=30", "abcde"),
        ("decision=flag", "dc"),
        ("decision=clear&decision=review", "eba"),
        ("label=none", "edc"),
        ("label=fake&label=real", "ba"),
        ("domain=art&domain=none", "edb"),
        ("reason=not_scored", "e"),
        ("score_from=0.4&score_to=0.9", "cb"),
        ("text=%27+OR+1%3D1", "d"),
        ("text=%25", ""),
        ("text=A.JPG", "a"),
        ("since=2026-03-01&before=2026-03-01", "edcba"),
        ("since=2026-03-02", ""),
        ("source=", "edcba"),
        ("utm=1&page=7", "edcba"),
    ],
)
def test_an_address_says_which_images_are_shown(made, ada, query, shown):
    """Filters, order and nothing else; unknown names are ignored, as links may have them."""
    page = ada.get(f"/grid?{query}")
    assert page.status_code == 200
    assert names(made, page) == shown


def test_a_run_has_its_own_images(made, ada):
    """The link of a run view leads here."""
    assert names(made, ada.get(f"/grid?run={made.run_id}&decision=flag")) == "dc"
    assert names(made, ada.get("/grid?run=latest")) == "edcba"


def test_pages_lead_to_their_neighbours(tmp_path):
    """Each image is on one page, forwards and backwards."""
    lake = lakes.lake_of(tmp_path / "lake", SHOTS).lake
    row = lake.scan("images").collect().head(1)
    ids = [f"{number:064x}" for number in range(64)]
    more = pl.concat([row.with_columns(image_id=pl.lit(image_id)) for image_id in ids])
    lake.append("images", more, txn="more")
    client = reviewer(lake)
    seen, address = [], "/grid?n=30&sort=id"
    while address:
        page = client.get(address)
        here = re.findall(r'data-id="([0-9a-f]{64})"', page.text)
        assert len(here) <= 30
        seen.append(here)
        link = re.search(r'id="next" rel="next" href="([^"]+)"', page.text)
        address = unescape(link[1]) if link else None
    flat = [image_id for here in seen for image_id in here]
    assert len(flat) == len(set(flat)) == 69
    assert flat == sorted(flat)
    back = re.search(r'id="previous" rel="prev" href="([^"]+)"', page.text)
    before = client.get(unescape(back[1]))
    assert re.findall(r'data-id="([0-9a-f]{64})"', before.text) == seen[-2]


def test_text_from_outside_stays_text(ada):
    """Names and domains with markup are shown as they are."""
    page = ada.get("/grid").text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<b>" not in page.split('data-count="domain')[1].split("</fieldset>")[0]


def test_the_page_has_no_script_and_no_style_in_it(ada):
    """The policy of the server would block them."""
    page = ada.get("/grid").text
    assert "<style" not in page
    assert " style=" not in page
    assert not re.search(r"\son[a-z]+=", page)
    assert page.count("<script") == page.count('<script type="module" src="/static/')


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("decision=flagged", "decision is 'flagged'; did you mean flag"),
        ("label=ai", "allowed: real, fake, laundered, unsure, disputed, none"),
        ("score_from=nan", "allowed: a number from 0 to 1"),
        ("score_from=0.9&score_to=0.1", "give the lower one first"),
        ("sort=best", "allowed: newest, oldest, highest, lowest, nearest, id"),
        ("n=100000", "n is '100000'; allowed: 30, 60, 120, 240"),
        ("after=xyz", "is no place in this list"),
        ("since=soon", "allowed: a date such as 2026-03-01"),
        ("sort=id&sort=newest", "sort is given 2 times"),
        ("text=" + "x" * 501, "text has 501 characters"),
    ],
)
def test_values_that_are_not_allowed_are_refused_in_words(ada, query, words):
    """A page says what was seen and what is allowed; a script gets the same as JSON."""
    page = ada.get(f"/grid?{query}")
    assert page.status_code == 400
    assert words in unescape(page.text)
    answer = ada.get(f"/grid?{query}", headers={"Accept": "*/*"})
    assert words in answer.json()["problem"]


def test_an_unknown_run_is_said_to_be_unknown(ada):
    """With the runs that there are."""
    page = ada.get("/grid?run=nope")
    assert page.status_code == 422
    assert "no run nope in" in unescape(page.text)


def test_a_selection_beyond_the_page_has_a_bound(made, ada, monkeypatch):
    """The first ids of the list, and how many there are."""
    assert set(ada.get("/grid/ids?decision=flag").json()["image_ids"]) == {
        image_id for name, image_id in made.ids.items() if name[0] in "cd"
    }
    monkeypatch.setattr("assay.flows.review_page.grid_view.MAX_SELECTED", 2)
    found = ada.get("/grid/ids?sort=lowest").json()
    assert found["n_matching"] == 5
    assert found["image_ids"] == [made.ids["a.jpg"], made.ids["b.jpg"]]
    assert ada.get("/grid/ids?sort=nope").status_code == 400


def test_images_come_as_veils_and_thumbnails(made, ada):
    """A browser may keep them, since an id names its content."""
    image_id = made.ids["a.jpg"]
    veil = ada.get(f"/grid/image/{image_id}/veil.webp")
    small = ada.get(f"/grid/image/{image_id}/thumbnail.webp")
    assert veil.headers["content-type"] == small.headers["content-type"] == "image/webp"
    assert len(veil.content) < 300 < len(small.content)
    assert small.headers["cache-control"] == "private, max-age=86400, immutable"


@pytest.mark.parametrize("path", ["0" * 64 + "/veil.webp", "x/veil.webp", "../veil.webp"])
def test_images_that_are_not_there_are_not_found(ada, path):
    """An id is hex digits, and no path."""
    assert ada.get(f"/grid/image/{path}").status_code in {404, 422}


def test_an_unknown_size_is_not_found(made, ada):
    """It says which ones there are."""
    answer = ada.get(f"/grid/image/{made.ids['a.jpg']}/huge.webp")
    assert answer.status_code == 404
    assert "sizes: veil, thumbnail" in answer.text


def test_with_no_store_browsers_keep_nothing(made):
    """Neither pages nor images."""
    client = reviewer(made.lake, no_store=True)
    for path in ("/grid", f"/grid/image/{made.ids['a.jpg']}/thumbnail.webp"):
        assert client.get(path).headers["cache-control"] == "no-store"


def test_many_labels_are_given_and_taken_back_as_one(tmp_path):
    """The next page knows of them at once; sent twice, they are recorded once."""
    made = lakes.lake_of(tmp_path / "lake", SHOTS)
    with reviewer(made.lake) as ada:
        ids = ada.get("/grid/ids?label=none").json()["image_ids"]
        assert len(ids) == 3
        given = [
            {"answer_id": f"{n:032x}", "image_id": image_id, "label": "fake", "view": "grid"}
            for n, image_id in enumerate(ids)
        ]
        for _ in range(2):
            taken = ada.post("/answers", json={"reviewer": "ada", "answers": given}).json()
            assert len(taken["recorded"]) == 3
        assert names(made, ada.get("/grid?label=none")) == ""
        assert names(made, ada.get("/grid?label=fake")) == "edcb"
        back = [
            {
                "answer_id": f"{n + 100:032x}",
                "image_id": answer["image_id"],
                "label": "unsure",
                "withdraws": answer["answer_id"],
                "view": "grid",
            }
            for n, answer in enumerate(given)
        ]
        taken = ada.post("/answers", json={"reviewer": "ada", "answers": back}).json()
        assert len(taken["recorded"]) == 3
        assert names(made, ada.get("/grid?label=none")) == "edc"


def test_a_lake_that_is_being_read_says_so(made, monkeypatch):
    """The page loads itself again; nobody looks at a blank window."""
    monkeypatch.setattr("assay.tasks.grid.snapshots.Snapshots.is_ready", lambda *_, **__: False)
    page = reviewer(made.lake).get("/grid")
    assert page.status_code == 200
    assert '<meta http-equiv="refresh" content="1">' in page.text
    assert "Reading the images of the lake" in page.text
