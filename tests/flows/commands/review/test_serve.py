"""`assay review serve`: the address that it prints."""

import lakes
import pytest
from lakes import Shot

from assay.data.errors import InputError
from assay.flows.commands.review.serve import serve


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Make a lake, and a server that ends at once."""
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("assay.flows.review_page.serve.serve_page", lambda *_, **__: None)
    return lakes.lake_of(tmp_path / "lake", [Shot(name="a.jpg")])


@pytest.mark.parametrize(("run", "path"), [(None, ""), ("latest", "runs/"), ("id", "runs/")])
def test_the_address_leads_to_the_page_or_to_a_run(made, capsys, run, path):
    """The report names the command with its run."""
    serve(lake=made.lake.uri, port=0, run=made.run_id if run == "id" else run)
    address = capsys.readouterr().out.split()[2]
    assert address.startswith("http://127.0.0.1:")
    assert address.split("/", 3)[3] == (f"{path}{made.run_id}" if path else "")


def test_an_unknown_run_is_refused_before_a_port_is_taken(made, capsys):
    """With the runs that there are."""
    with pytest.raises(InputError, match=f"no run nope in .* {made.run_id}"):
        serve(lake=made.lake.uri, port=0, run="nope")
    assert capsys.readouterr().out == ""
