"""The block of a lake: Prefect's own tests of blocks, and a run by its name on a real server."""

import json
import os
import re
import urllib.error

import pytest
from PIL import Image
from prefect.blocks.core import Block
from prefect.settings import PREFECT_API_URL, PREFECT_LOGGING_TO_API_ENABLED, temporary_settings
from prefect.testing.standard_test_suites import BlockStandardTestSuite
from pydantic import SecretStr
from s3_server import s3_server

from assay.data.errors import ConfigError
from assay.data.store.lake import Lake
from assay.flows.blocks.lake_address import address_of
from assay.flows.blocks.lake_block import AssayLake
from assay.flows.cli import main
from assay.flows.moderate import moderate
from assay.flows.settings.resolve import request_of, resolve
from assay.flows.start import start

KEY = "AKIAONLYFORTHISTEST"


class TestAssayLake(BlockStandardTestSuite):
    """The suite that blocks of collections pass."""

    @pytest.fixture
    def block(self):
        """Return the class under test."""
        return AssayLake

    def test_has_a_valid_image(self, block):
        """The logo lies on another machine, so this needs a network."""
        try:
            super().test_has_a_valid_image(block)
        except urllib.error.URLError as error:
            pytest.skip(f"no network: {error}")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"uri": "lake"}, "not an address"),
        ({"uri": "https://bucket/lake"}, "not an address"),
        ({"uri": "s3://key:secret@bucket/lake"}, "has keys"),
        ({"uri": "s3://b/lake", "variables": {"AZURE_CLIENT_ID": "x"}}, "AZURE_CLIENT_ID"),
        ({"uri": "/lake", "variables": {"PATH": "x"}}, "allowed for /lake: none"),
    ],
)
def test_a_block_of_no_lake_is_refused(fields, message):
    """An address must mean the same everywhere; variables are those of its kind of store."""
    with pytest.raises(Exception, match=message):
        AssayLake(**fields)


def test_without_a_server_a_block_is_refused(monkeypatch, tmp_path):
    """The message says what to set."""
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    with pytest.raises(ConfigError, match="set PREFECT_API_URL"):
        address_of("block:nightly")


class AwsLike(Block):
    """Credentials with the fields of the block of prefect-aws."""

    aws_access_key_id: str | None = None
    aws_secret_access_key: SecretStr | None = None
    region_name: str | None = None


@pytest.mark.xdist_group("prefect")
def test_a_lake_and_its_sources_are_used_by_the_name_of_a_block(
    server, tmp_path, monkeypatch, capsys
):
    """The keys of the block reach sources, shards and tables, and no row, output or log."""
    url, _ = server
    monkeypatch.setenv("PREFECT_API_URL", url)
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (32, 32), (200, 10, 10)).save(tmp_path / "a.png")
    with s3_server("blocked") as s3, temporary_settings({PREFECT_API_URL: url}):
        s3.put_object(Bucket="blocked", Key="in/a.png", Body=(tmp_path / "a.png").read_bytes())
        AwsLike(
            aws_access_key_id="nobody",
            aws_secret_access_key=SecretStr(KEY),
            region_name="us-east-1",
        ).save("team", overwrite=True)
        AssayLake(
            uri="s3://blocked/lake",
            credentials=f"{AwsLike.get_block_type_slug()}/team",
            variables={
                "AWS_ENDPOINT_URL": os.environ["AWS_ENDPOINT_URL"],
                "AWS_ALLOW_HTTP": "true",
                "AWS_ACCESS_KEY_ID": KEY,
            },
        ).save("nightly", overwrite=True)
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            monkeypatch.delenv(name)
        (tmp_path / "assay.toml").write_text('lake = "block:nightly"\n')
        assert resolve({}).request.lake == "block:nightly"
        main(["ingest", "s3://blocked/in", "--lake", "block:nightly", "--json"])
        told = capsys.readouterr()
        assert json.loads(told.out)["stored"] == 1
        main(["ingest", "s3://blocked/in", "--json"])
        assert json.loads(capsys.readouterr().out)["lake"] == "block:nightly"
        lake = Lake("s3://blocked/lake", create=False)
        assert lake.n_rows("sightings") == 1
        with temporary_settings({PREFECT_LOGGING_TO_API_ENABLED: False}):
            of_form = moderate(["s3://blocked/in"], verb="ingest", lake="block:nightly")
        of_api = start(request_of(sources=("s3://blocked/in",)), "ingest", quiet=True)
        assert (of_form.unchanged, of_api.unchanged) == (1, 1)
        params = lake.scan("runs").collect()["params"].to_list()
        assert json.loads(params[0])["lake"] == "block:nightly"
        assert not re.search(KEY, f"{told} {params}")
        with pytest.raises(SystemExit) as refused:
            main(["ls", "--lake", "block:none"])
        assert refused.value.code == 2
        assert "assay-lake/none cannot be used" in capsys.readouterr().err
