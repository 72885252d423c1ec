"""Key and token are in files of the user, and the token is named, never shown."""

import pytest

from assay.data.errors import ConfigError
from assay.flows.review_page.kept_secrets import signing_key, token_of


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ASSAY_REVIEW_TOKEN", raising=False)
    return tmp_path / "cache" / "review-page"


def test_the_key_is_kept_so_that_sessions_survive_a_restart(home):
    """Only its owner reads it."""
    key = signing_key()
    assert len(key) == 32
    assert signing_key() == key
    assert (home / "signing-key").stat().st_mode & 0o077 == 0


def test_a_file_that_others_can_read_is_refused_or_replaced(home):
    """Whoever has read the key could sign any session."""
    key = signing_key()
    (home / "signing-key").chmod(0o644)
    assert signing_key() != key
    assert (home / "signing-key").stat().st_mode & 0o077 == 0


def test_on_the_loopback_address_there_is_no_token(home):
    """None is created either."""
    assert token_of(None, create=False) == (None, "")
    assert not home.exists()


def test_a_token_is_created_and_its_file_is_named(home):
    """The next server has the same."""
    token, place = token_of(None, create=True)
    assert len(token) >= 32
    assert place == str(home / "token")
    assert token_of(None, create=True) == (token, place)


def test_a_stated_token_comes_first(tmp_path, monkeypatch):
    """The variable, then the file, also on the loopback address."""
    file = tmp_path / "token"
    file.write_text("from a file, sixteen signs\n")
    assert token_of(file, create=False) == ("from a file, sixteen signs", str(file))
    monkeypatch.setenv("ASSAY_REVIEW_TOKEN", "from the environment")
    token, place = token_of(file, create=False)
    assert token == "from the environment"
    assert token not in place


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff\xfe\xff"])
def test_a_file_without_a_token_is_refused(tmp_path, content):
    """A server that is open to all is not what was asked for."""
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"cannot be read|is empty"):
        token_of(file, create=True)
