"""No request reaches a view that another site, another machine or a stranger has sent."""

import pytest
from page_clients import TOKEN, reviewer, stranger, submit

from assay.flows.review_page.guard import is_allowed_host
from assay.flows.review_page.settings import PageSettings

PAGES = ["/queue", "/name", "/login", "/static/0/page.css", "/nowhere"]


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    return tmp_path_factory.mktemp("lake")


@pytest.fixture(scope="module")
def ada(lake):
    return reviewer(lake)


@pytest.mark.parametrize("path", PAGES)
def test_every_answer_forbids_what_is_not_the_servers_own(ada, path):
    """Scripts, styles, images, frames and forms come from this server or not at all."""
    headers = ada.get(path).headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    for kind in ("script-src", "style-src", "img-src", "connect-src", "form-action"):
        assert policy[kind] == "'self'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.parametrize("path", ["/queue", "/name"])
def test_pages_have_no_script_and_no_style_in_them(ada, path):
    """The policy would block them; everything is a file."""
    page = ada.get(path).text
    assert "<style" not in page
    assert " style=" not in page
    assert " on" not in {part[:3] for part in page.split("<button")[1:]}
    assert page.count("<script") == page.count('<script type="module" src="/static/')
    assert "http://" not in page
    assert "https://" not in page


def test_pages_are_not_stored_and_scripts_are(ada):
    """The path of a script has the digest of its content."""
    page = ada.get("/queue")
    assert page.headers["cache-control"] == "no-store"
    script = page.text.split('src="')[1].split('"')[0]
    assert "immutable" in ada.get(script).headers["cache-control"]


def test_with_no_store_nothing_is_stored(lake):
    """Not even a style sheet."""
    client = reviewer(lake, no_store=True)
    for path in PAGES:
        assert client.get(path).headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "", "a@b", "127.0.0.1/"]
)
def test_a_page_that_rebinds_its_name_is_refused(ada, host):
    """The browser believes such a page to be of this server; its `Host` gives it away."""
    assert ada.get("/queue", headers={"Host": host}).status_code == 421


@pytest.mark.parametrize("host", ["localhost", "localhost:8787", "127.0.0.1:1", "[::1]:8787"])
def test_names_of_this_machine_are_allowed(ada, host):
    """The port is free: a tunnel has another one."""
    assert ada.get("/queue", headers={"Host": host}).status_code != 421


def test_further_names_are_allowed_where_they_are_stated():
    """A proxy hands its own name on."""
    settings = PageSettings(secret=b"x" * 32, allowed_hosts=("Review.example.org",))
    assert is_allowed_host("review.example.org:443", settings)
    assert not is_allowed_host("review.example.com", settings)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Origin": "file://127.0.0.1:8787"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_post_from_another_site_is_refused(ada, headers):
    """Also with a form token, and also from another port of this machine."""
    assert ada.post("/nowhere", headers=headers).status_code == 403


def test_a_post_of_the_page_itself_passes(ada):
    """It reaches the views, of which none is called so."""
    origin = {"Origin": "http://127.0.0.1:8787", "Sec-Fetch-Site": "same-origin"}
    assert ada.post("/nowhere", headers=origin).status_code == 404


@pytest.mark.parametrize("token", ["", "0" * 32, "é"])
def test_a_post_without_the_form_token_is_refused(lake, token):
    """The cookie alone changes nothing."""
    client = reviewer(lake)
    answer = client.post("/nowhere", headers={"X-Form-Token": token.encode()})
    assert answer.status_code == 403
    assert "load the page again" in answer.json()["problem"]


def test_the_form_token_of_another_session_is_refused(lake):
    """It belongs to one session, not to the server."""
    mine, other = reviewer(lake), reviewer(lake)
    token = other.headers["X-Form-Token"]
    assert mine.post("/nowhere", headers={"X-Form-Token": token}).status_code == 403


@pytest.mark.parametrize("length", ["1000001", "9" * 30, "-1", "many"])
def test_a_long_body_is_refused_before_it_is_read(ada, length):
    """A megabyte is more than a hundred answers with the longest notes."""
    answer = ada.post("/nowhere", content=b"", headers={"Content-Length": length})
    assert answer.status_code == 413


def test_a_link_in_another_page_keeps_the_session(lake):
    """It brings no cookie along, so the page loads itself again instead of starting anew."""
    client = stranger(lake)
    answer = client.get("/queue", headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 200
    assert 'http-equiv="refresh"' in answer.text
    assert "set-cookie" not in answer.headers


def test_nothing_is_shown_before_the_login(lake):
    """A page leads to the login, a script is told; scripts and styles are no secret."""
    client = stranger(lake, token=TOKEN)
    answer = client.get("/queue?a=1")
    assert (answer.status_code, answer.headers["location"]) == (
        303,
        "/login?after=%2Fqueue%3Fa%3D1",
    )
    assert client.get("/queue", headers={"Accept": "*/*"}).status_code == 401
    assert client.get("/name", headers={"Accept": "*/*"}).status_code == 401
    assert client.post("/nowhere").status_code == 401
    assert client.get("/static/0/page.css").status_code == 200


def test_the_name_comes_after_the_login(lake):
    """Each answer has its reviewer."""
    client = stranger(lake, token=TOKEN)
    assert submit(client, "/login", token=TOKEN).headers["location"] == "/"
    assert client.get("/queue").headers["location"] == "/name?after=%2Fqueue"
    assert submit(client, "/name", name="ada").status_code == 303
    assert client.get("/queue").status_code == 200
