"""A login is a signed cookie that expires; a name is one short line."""

import base64
import time

import pytest
from page_clients import SECRET, TOKEN, form_token, reviewer, stranger, submit

from assay.data.errors import ConfigError
from assay.flows.review_page.sessions import Session, Sessions
from assay.flows.review_page.settings import PageSettings


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    return tmp_path_factory.mktemp("lake")


def test_a_wrong_token_opens_nothing(lake, monkeypatch):
    """It says where the right one is, and never repeats what was typed."""
    monkeypatch.setattr("assay.flows.review_page.login._WRONG_TOKEN_S", 0)
    client = stranger(lake, token=TOKEN)
    answer = submit(client, "/login", token="a wrong token with some letters")
    assert answer.status_code == 403
    assert "This is not the token" in answer.text
    assert "a wrong token" not in answer.text
    assert client.get("/queue").status_code == 303


def test_a_login_without_its_form_token_opens_nothing(lake):
    """Another site could otherwise log a browser in under a session that it knows."""
    client = stranger(lake, token=TOKEN)
    client.get("/login")
    assert client.post("/login", data={"token": TOKEN}).status_code == 403


def test_a_login_begins_a_new_session(lake):
    """A form token from before the login is worth nothing after it."""
    client = stranger(lake, token=TOKEN)
    before = form_token(client.get("/login").text)
    submit(client, "/login", token=TOKEN)
    assert form_token(client.get("/name").text) != before


@pytest.mark.parametrize(
    ("after", "goes_to"),
    [
        ("/queue?a=1", "/queue?a=1"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example/queue", "/"),
        ("", "/"),
    ],
)
def test_a_login_leads_to_this_server_only(lake, after, goes_to):
    """A link to the login cannot lead elsewhere."""
    client = stranger(lake)
    answer = submit(client, "/name", name="ada", after=after)
    assert answer.headers["location"] == goes_to


@pytest.mark.parametrize("is_https", [False, True])
def test_scripts_and_other_sites_do_not_get_the_cookie(lake, is_https):
    """With https, no plain request does either."""
    settings = {"is_https": is_https, "allowed_hosts": ()}
    cookie = stranger(lake, **settings).get("/name").headers["set-cookie"]
    assert "; HttpOnly" in cookie
    assert "; SameSite=Strict" in cookie
    assert ("; Secure" in cookie) is cookie.startswith("__Host-") is is_https


def test_an_altered_cookie_is_a_stranger(lake):
    """Another name in it breaks its signature."""
    client = reviewer(lake)
    ((name, value),) = client.cookies.items()
    payload, rest = value.split(".", 1)
    forged = base64.urlsafe_b64encode(
        base64.urlsafe_b64decode(payload + "==").replace(b"ada", b"eve")
    )
    client.cookies.clear()
    client.cookies.set(name, f"{forged.decode().rstrip('=')}.{rest}")
    assert client.get("/queue").status_code == 303


def sessions(**changes):
    return Sessions(PageSettings(secret=SECRET, **changes))


def test_a_session_expires(monkeypatch):
    """After the stated hours, and not before."""
    signed = sessions(session_hours=2).sign(Session(session_id="a", reviewer="ada"))
    now_s = time.time()
    monkeypatch.setattr(time, "time", lambda: now_s + 2 * 3600 - 60)
    assert sessions(session_hours=2).read(signed).reviewer == "ada"
    monkeypatch.setattr(time, "time", lambda: now_s + 2 * 3600 + 60)
    assert sessions(session_hours=2).read(signed).reviewer is None


@pytest.mark.parametrize("other", [{"token": TOKEN + "!"}, {"secret": b"y" * 32}])
def test_another_token_or_key_ends_the_sessions(other):
    """Those who knew the token before are strangers."""
    signed = sessions(token=TOKEN).sign(Session(session_id="a", reviewer="ada", has_login=True))
    mine = {"secret": SECRET, "token": TOKEN}
    assert Sessions(PageSettings(**mine)).read(signed).has_login
    assert not Sessions(PageSettings(**(mine | other))).read(signed).has_login


def test_a_log_out_ends_the_login(lake):
    """And the browser forgets the images."""
    client = reviewer(lake, token=TOKEN)
    token = client.headers["X-Form-Token"]
    answer = client.post("/logout", data={"form_token": token})
    assert answer.headers["clear-site-data"] == '"cache"'
    assert client.get("/queue").headers["location"].startswith("/login")


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("", "The name is empty"),
        ("   ", "The name is empty"),
        ("a" * 10_000, "name has 10,000 characters; allowed: 1 to 200"),
        ("a\nb", "control characters"),
        ("a\u202eb", "control characters"),
        ("a\x00b", "control characters"),
    ],
)
def test_a_name_that_cannot_be_stored_is_asked_for_again(lake, name, problem):
    """The page says what is wrong, and the session has no name."""
    client = stranger(lake)
    answer = submit(client, "/name", name=name)
    assert answer.status_code == 422
    assert problem in answer.text
    assert client.get("/queue").status_code == 303


def test_markup_in_a_name_is_text(lake):
    """It is shown as it was typed."""
    page = reviewer(lake, name="<img src=x onerror=alert(1)>&").get("/queue").text
    assert "<img" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;&amp;" in page


@pytest.mark.parametrize("name", ["ada", "\N{GRINNING FACE}" * 200, "Ж" * 200])
def test_a_name_of_any_letters_is_kept(lake, name):
    """Two hundred of the longest letters fit into the cookie."""
    page = reviewer(lake, name=name).get("/queue").text
    assert f"<bdi>{name}</bdi>" in page


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"host": "0.0.0.0"}, "needs the token"),
        ({"host": "review.example.org"}, "needs the token"),
        ({"token": "short"}, "allowed: 16 or more"),
        ({"port": 70_000}, "allowed: 0 to 65535"),
        ({"allowed_hosts": ("http://a",)}, "without scheme"),
    ],
)
def test_settings_that_open_the_page_to_others_are_refused(settings, problem):
    """Another address than the loopback needs a login, and a token is no word."""
    with pytest.raises(ConfigError, match=problem):
        PageSettings(secret=SECRET, **settings)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_the_loopback_address_needs_no_login(host):
    """Other machines do not reach it."""
    assert not PageSettings(secret=SECRET, host=host).needs_login


def test_secrets_are_not_shown():
    """Neither in a traceback nor in a log line."""
    shown = repr(PageSettings(secret=SECRET, token=TOKEN))
    assert TOKEN not in shown
    assert SECRET.decode() not in shown
