"""Serving: what runs may change, where Prefect's server is found, and its login."""

import json
import os
import socket
import stat

import pytest
from prefect.settings import Settings

from assay.data.errors import ConfigError, InputError
from assay.flows import served
from assay.flows.installation.doctor import _prefect
from assay.flows.process.prefect_home import configured_api_url
from assay.flows.request import Request
from assay.flows.serving.prefect_server import login_in, require_server
from assay.flows.serving.serve import name_of
from assay.flows.start import start


@pytest.fixture
def incoming(tmp_path, monkeypatch):
    """Create a served folder with a link out of it, beside one that is not served."""
    folder = tmp_path / "incoming"
    (folder / "today").mkdir(parents=True)
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "a.jpg").write_bytes(b"a")
    (folder / "out").symlink_to(tmp_path / "private")
    monkeypatch.setenv(served.VARIABLE, "")
    monkeypatch.delenv(served.VARIABLE)
    return folder


def serving(folder, *more, **settings):
    """Return the request of a deployment that serves a folder, as seen by its runs."""
    request = served.with_roots(
        Request(lake="lake", sources=(str(folder), *more), **settings).absolute()
    )
    served.announce(request)
    return request


def test_runs_may_choose_sources_below_the_roots(incoming):
    """The folder, what lies in it, patterns and file URIs in it, and settings of the items."""
    request = serving(incoming)
    for source in ("today", "today/*.jpg", "../incoming/today"):
        asked = request.__class__(
            **request.settings() | {"sources": (str(incoming / source),), "domain": "uploads"}
        )
        assert served.confined(asked).domain == "uploads"
    uri = request.__class__(
        **request.settings() | {"sources": ((incoming / "today").as_uri(),), "include": ("*.jpg",)}
    )
    assert served.confined(uri).include == ("*.jpg",)


@pytest.mark.parametrize(
    "source",
    ["..", "../private", "out", "out/a.jpg", "out/*", "*/a.jpg", "file:///etc", "http://h/a.jpg"],
)
def test_runs_may_choose_no_source_outside(incoming, source):
    """Neither by dots, links, patterns over links, file URIs nor URLs."""
    request = serving(incoming)
    given = source if "://" in source else str(incoming / source)
    asked = request.__class__(**request.settings() | {"sources": (given,)})
    with pytest.raises(InputError, match="deployment"):
        served.confined(asked)


def test_a_link_outside_whose_name_is_no_text_is_refused_by_its_uri_too(incoming):
    """The path that is checked is the one that is read, byte for byte."""
    link = incoming / os.fsdecode(b"out-\xff")
    link.symlink_to("/etc")
    request = serving(incoming)
    for source in (str(link), link.as_uri()):
        asked = request.__class__(**request.settings() | {"sources": (source,)})
        with pytest.raises(InputError, match="deployment"):
            served.confined(asked)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("allow_private_urls", True),
        ("lake", "/elsewhere"),
        ("detector", "org/name@" + 40 * "0"),
        ("policy", "/etc/passwd"),
        ("roots", ("/",)),
        ("roots", ()),
        ("max_bytes", 2**40),
    ],
)
def test_runs_may_not_change_what_is_pinned(incoming, name, value):
    """Private addresses, other lakes, detectors, files and limits are the server's to choose."""
    request = serving(incoming)
    with pytest.raises(ConfigError, match=f"does not let runs change {name}"):
        served.confined(request.__class__(**request.settings() | {name: value}))


def test_secret_urls_reach_the_run_and_nobody_else(incoming):
    """A deployment knows the clean name of a URL; its run asks for the URL itself."""
    secret = "https://h/a.jpg?sig=SIGNATURE"
    request = serving(incoming, secret)
    parameters = json.loads(json.dumps(request.params()))
    assert "SIGNATURE" not in json.dumps(parameters)
    asked = Request(**{k: tuple(v) if isinstance(v, list) else v for k, v in parameters.items()})
    assert served.confined(asked) == request


def test_a_flow_of_this_process_gets_its_secrets_back_while_it_runs(monkeypatch):
    """Prefect is given clean names; the run behind them asks for the URLs, and then no more."""
    monkeypatch.delenv(served.VARIABLE, raising=False)
    request = Request(lake="lake", sources=("https://h/a.jpg?sig=SIGNATURE", "pics"))
    named = Request(**request.settings() | {"sources": request.params()["sources"]})
    with served.kept_secrets(request.sources):
        assert served.confined(named) == request
    assert served.confined(named) == named


def test_paths_are_absolute_and_names_differ_by_source_and_lake(tmp_path, monkeypatch):
    """The same words from two folders are two deployments, and lists lie in their own roots."""
    names = set()
    for place in ("one", "two"):
        (tmp_path / place / "pics").mkdir(parents=True)
        monkeypatch.chdir(tmp_path / place)
        for lake in ("lake", "s3://bucket/lake"):
            request = Request(lake=lake, sources=("pics",)).absolute()
            assert request.sources == (str(tmp_path / place / "pics"),)
            names.add(name_of(request))
            assert name_of(request) == name_of(request.absolute())
    assert len(names) == 4
    (tmp_path / "list.csv").write_text("path\n")
    sources = ("list.csv", "one/*/x[12].jpg", "https://h/a.jpg")
    monkeypatch.chdir(tmp_path)
    rooted = served.with_roots(Request(lake="lake", sources=sources).absolute())
    assert rooted.roots == (str(tmp_path), str(tmp_path / "one"))


def test_runs_may_choose_sources_below_a_prefix(tmp_path, monkeypatch):
    """A bucket, the prefix of a glob or of a list, and nothing beside them or on the disk."""
    monkeypatch.setenv(served.VARIABLE, "")
    sources = ("s3://b/in/2026-*/*.jpg", "gs://c/lists/x.csv")
    request = served.with_roots(Request(lake="lake", sources=sources))
    assert request.roots == ("s3://b/in", "gs://c/lists")
    served.announce(request)
    for source in ("s3://b/in/2027", "gs://c/lists"):
        assert served.confined(request.changed(sources=(source,))).sources == (source,)
    for source in ("s3://b/inner", "s3://b", "gs://b/in", str(tmp_path)):
        with pytest.raises(InputError):
            served.confined(request.changed(sources=(source,)))


def test_a_login_is_made_once_and_readable_by_its_owner_alone(tmp_path):
    """It is long, kept, and replaced when others could have read it; a stated one counts."""
    file = tmp_path / "login"
    login = login_in(file)
    assert len(login) > 40
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert login_in(file) == login
    file.chmod(0o644)
    changed = login_in(file)
    assert changed != login
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.unlink()
    (tmp_path / "target").write_text("mine:mine")
    file.symlink_to(tmp_path / "target")
    with pytest.raises(ConfigError, match="PREFECT_HOME"):
        login_in(file)
    assert login_in(tmp_path / "other", stated="me:word") == "me:word"


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("prefect.toml", '[api]\nurl = "http://p.example/api"\n'),
        ("pyproject.toml", '[tool.prefect.api]\nurl = "http://p.example/api"\n'),
        (".env", "PREFECT_API_URL=http://p.example/api\n"),
        (
            "home/profiles.toml",
            'active = "a"\n[profiles.a]\nPREFECT_API_URL = "http://p.example/api"\n',
        ),
        ("own.toml", 'active = "a"\n[profiles.a]\nPREFECT_API_URL = "http://p.example/api"\n'),
    ],
)
def test_the_server_is_found_wherever_prefect_looks(tmp_path, monkeypatch, file, text):
    """Project files, dotenv and profiles, as Prefect itself reads them; without, there is none."""
    for name in [name for name in os.environ if name.startswith("PREFECT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "home").mkdir()
    assert configured_api_url() is None
    if file == "own.toml":
        monkeypatch.setenv("PREFECT_PROFILES_PATH", str(tmp_path / file))
    (tmp_path / file).write_text(text)
    assert configured_api_url() == Settings().api.url == "http://p.example/api"
    monkeypatch.setenv("PREFECT_API_URL", "")
    assert configured_api_url() is None


def test_settings_that_prefect_cannot_read_are_one_line(tmp_path, monkeypatch):
    """A damaged prefect.toml is a usage error that names the file."""
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prefect.toml").write_text("[api\n")
    with pytest.raises(ConfigError, match=r"prefect\.toml"):
        configured_api_url()


def test_a_server_that_does_not_answer_is_one_line(tmp_path, monkeypatch):
    """A run, `serve` and `doctor` say so by name, without the login that the address may hold."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://user:PASSWORD@127.0.0.1:{free.getsockname()[1]}/api"
        monkeypatch.setenv("PREFECT_API_URL", url)
        for ask in (
            lambda: require_server(url),
            lambda: start(Request(lake=str(tmp_path / "lake")), server=None, quiet=True),
            _prefect,
        ):
            with pytest.raises(ConfigError, match="no Prefect server answers at") as caught:
                ask()
            assert "PASSWORD" not in str(caught.value)
            assert "\n" not in str(caught.value)
    assert not (tmp_path / "lake").exists()
