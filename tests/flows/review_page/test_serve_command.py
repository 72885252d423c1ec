"""`assay review serve` says where the page is, and keeps its secrets to itself."""

import os
import signal
import subprocess
import sys

import httpx
import pytest

from assay.data.errors import ConfigError
from assay.data.store.lake import Lake
from assay.flows.review_page.serve import address_of, check_certificate, listen


@pytest.fixture(scope="module")
def pem(tmp_path_factory):
    """Return a certificate of this machine with its key, in one file."""
    pytest.importorskip("cryptography")
    from certificates import of_host

    file = tmp_path_factory.mktemp("certificate") / "both.pem"
    file.write_bytes(of_host("localhost"))
    return file


def test_the_page_is_served_by_https_with_a_login_that_nothing_prints(tmp_path, pem):
    """A whole server, as it is started by hand, and ended by SIGTERM."""
    lake = Lake(tmp_path / "lake")
    command = [sys.executable, "-m", "assay", "review", "serve", "--lake", lake.uri]
    command += ["--host", "0.0.0.0", "--port", "0", "--certfile", str(pem)]
    environment = os.environ | {"ASSAY_CACHE": str(tmp_path / "cache")}
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    lines = [process.stdout.readline() for _ in range(4)]
    address = lines[0].split()[-1]
    token_file = tmp_path / "cache" / "review-page" / "token"
    assert address.startswith("https://127.0.0.1:")
    assert lines[2].split() == ["token", "in", str(token_file)]
    browser = {"Accept": "text/html"}
    with httpx.Client(base_url=address, verify=False, headers=browser, timeout=60) as client:
        answer = client.get("/queue")
    assert answer.headers["location"].startswith("/login")
    cookie = answer.headers["set-cookie"]
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 143
    assert cookie.startswith("__Host-assay-review-")
    assert "; Secure" in cookie
    assert token_file.read_text().strip() not in "".join(lines) + out + err
    assert "Traceback" not in err


def test_a_port_in_use_is_named():
    """The message says which option names another."""
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"port {port}: .*--port"):
            listen("127.0.0.1", port)


@pytest.mark.parametrize(("host", "shown"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1")])
def test_the_address_is_one_that_this_machine_reaches(host, shown):
    """A server on all addresses is opened by the loopback one."""
    with listen(host, 0) as listener:
        port = listener.getsockname()[1]
        assert address_of(listener, is_https=False) == f"http://{shown}:{port}/"


def test_files_that_are_no_certificate_are_refused(tmp_path, pem):
    """Before anything listens."""
    check_certificate(pem, None)
    rubbish = tmp_path / "rubbish.pem"
    rubbish.write_text("no certificate")
    for certificate, key in ((rubbish, None), (pem, rubbish), (tmp_path / "missing", None)):
        with pytest.raises(ConfigError, match="cannot be used for https"):
            check_certificate(certificate, key)
    with pytest.raises(ConfigError, match="--certfile"):
        check_certificate(None, pem)
