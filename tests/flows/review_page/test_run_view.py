"""The run view over HTTP: the list, one run with its figures, and the report as a file."""

import json
import re
from html import unescape

import lakes
import pytest
from lakes import Shot
from page_clients import reviewer

from assay.flows.review_page import views
from assay.tasks.decide.open_policy import open_policy
from assay.tasks.decide.policy_file import load_policy

SHOTS = [
    Shot(name="a.jpg", prob=0.05, seed=1, domain="</script><b>", label="real"),
    Shot(name="b.jpg", prob=0.9, seed=2, label="fake"),
    Shot(name="c.jpg", prob=0.4, seed=3),
]
REJECTED = [("file:///in/<b>.txt", "not_an_image", "text <i>")]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "lake"
    return lakes.lake_of(folder, SHOTS, rejected=REJECTED)


@pytest.fixture(scope="module")
def ada(made):
    with reviewer(made.lake) as client:
        yield client


def data_of(page):
    """Return what the page hands to its script."""
    text = re.search(r'<script type="application/json" id="page-data">(.*?)</script>', page, re.S)
    return json.loads(text[1])


def test_the_list_has_every_run_with_its_counts(made, ada):
    """A name leads to the run."""
    page = unescape(ada.get("/runs").text)
    row = page.split("<tbody>")[1]
    assert f'<a href="/runs/{made.run_id}">' in row
    assert re.findall(r'<td class="n">(\d+)</td>', row) == ["3", "1", "1", "1", "1"]


def test_a_run_shows_counts_that_lead_to_their_images(made, ada):
    """Each number is a link to the grid with its filter, which has as many images."""
    page = unescape(ada.get(f"/runs/{made.run_id}").text)
    links = re.findall(r'<a href="(/grid\?[^"]+)" aria-label="[^"]*">(\d+)</a>', page)
    assert len(links) >= 6
    for address, n in links:
        assert f'data-n="{n}"' in ada.get(address).text, address


def test_rejected_items_say_what_to_do(made, ada):
    """With examples, as text."""
    page = ada.get(f"/runs/{made.run_id}").text
    section = unescape(page.split('id="rejected"')[1])
    assert "not an image" in section
    assert "Leave the file out with --exclude" in section
    assert "&lt;b&gt;.txt" in page
    assert "text &lt;i&gt;" in page
    assert "<b>.txt" not in page


def test_the_counts_for_the_script_are_those_of_the_run(made, ada):
    """Steps, cells and the policy files; markup in a domain ends no element."""
    page = ada.get(f"/runs/{made.run_id}").text
    data = data_of(page)
    assert sum(data["cells"]["n"]) == 3
    assert data["band"] == [0.35, 0.65]
    assert {group[0] for group in data["groups"]} == {"no domain", "</script><b>"}
    assert data["policy"] == open_policy(load_policy(), detector=lakes.DETECTOR)
    files = [group[5] for group in data["groups"]]
    assert '[detectors."mini".domains."</script><b>"]' in "".join(files)
    assert data["command"].startswith("assay score --policy policy.toml --detector mini --lake ")


def test_the_page_has_no_inline_script_and_no_style(made, ada):
    """Data for the script is no script."""
    for path in ("/runs", f"/runs/{made.run_id}"):
        page = ada.get(path).text
        assert "<style" not in page
        assert " style=" not in page
        assert not re.search(r"\son[a-z]+=", page)
        kinds = re.findall(r'<script type="([^"]+)"( src="/static/)?', page)
        assert set(kinds) <= {("module", ' src="/static/'), ("application/json", "")}


def test_scripts_of_the_report_are_served_beside_their_imports(ada):
    """`../../pages/script/x.js` of a module of the report is a file of this server."""
    page = ada.get("/runs").text
    static = re.search(r'href="(/static/[0-9a-f]{16})/', page)[1]
    slider = ada.get(f"{static}/report/script/slider.js")
    assert "immutable" in slider.headers["cache-control"]
    names = re.findall(r'from "\.\./\.\./(pages/script/[a-z_]+\.js)"', slider.text)
    assert names
    for name in names:
        assert ada.get(f"{static}/{name}").headers["content-type"].startswith("text/javascript")


def test_labels_change_the_figures_at_once(tmp_path):
    """A person labels an image in the grid and looks at the precision again."""
    made = lakes.lake_of(tmp_path / "lake", SHOTS)
    with reviewer(made.lake) as ada:
        before = data_of(ada.get(f"/runs/{made.run_id}").text)
        answer = {"answer_id": "0" * 32, "image_id": made.ids["c.jpg"], "label": "real"}
        given = {"reviewer": "ada", "answers": [answer | {"view": "grid"}]}
        assert ada.post("/answers", json=given).json()["refused"] == []
        after = data_of(ada.get(f"/runs/{made.run_id}").text)
    assert before["cells"]["label"].count(0) + 1 == after["cells"]["label"].count(0)


def test_the_report_is_a_file_to_download(tmp_path):
    """It is not opened as a page of this server, whose policy would stop its styles."""
    made = lakes.lake_of(tmp_path / "lake", SHOTS[:1])
    made.lake.write(f"reports/{made.run_id}.html", b"<h1>report</h1>")
    with reviewer(made.lake) as ada:
        answer = ada.get(f"/runs/{made.run_id}/report.html")
        assert answer.content == b"<h1>report</h1>"
        assert answer.headers["content-disposition"].startswith("attachment; filename=")
        assert "Download the report" in ada.get(f"/runs/{made.run_id}").text


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/runs/nope", 422),
        ("/runs/nope/report.html", 404),
        ("/runs/..%2F..%2Fetc", 404),
        ("/runs/-x", 422),
        ("/runs/" + "x" * 200, 422),
    ],
)
def test_runs_that_are_not_there_are_said_to_be_so(ada, path, status):
    """An id is no path."""
    answer = ada.get(path)
    assert answer.status_code == status
    assert "This did not work" in answer.text


def test_a_run_without_a_report_says_how_to_write_it(made, ada):
    """With the command."""
    page = unescape(ada.get(f"/runs/{made.run_id}").text)
    assert f"assay report {made.run_id} --lake" in page


def test_an_empty_lake_says_what_to_do(tmp_path):
    """It has no runs yet, and no images."""
    with reviewer(tmp_path / "lake") as ada:
        assert "assay moderate SOURCE" in ada.get("/runs").text
        assert "The lake has no images yet" in ada.get("/grid").text
        assert ada.get("/runs/latest").status_code == 422


def test_every_view_has_a_key_of_its_own():
    """Keys of the navigation are capital letters."""
    keys = [view.nav.key for view in views.VIEWS if view.nav]
    assert len(keys) == len(set(keys))
    assert "".join(keys).isupper()
