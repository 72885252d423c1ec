"""The verbs that look through a lake, on an S3 server on loopback."""

import json

import boto3
import lakes
import polars as pl
import pytest
from lakes import Shot
from moto.server import ThreadedMotoServer

from assay.flows.cli import main

LAKE = "s3://browsed/some/lake"


@pytest.fixture(scope="module")
def made():
    """Two images in a lake on S3, with a report of their run."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    with pytest.MonkeyPatch.context() as patched:
        for name, value in {
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": url,
            "AWS_ALLOW_HTTP": "true",
            "AWS_EC2_METADATA_DISABLED": "true",
        }.items():
            patched.setenv(name, value)
        boto3.client("s3", region_name="us-east-1", endpoint_url=url).create_bucket(
            Bucket="browsed"
        )
        made = lakes.lake_of(
            LAKE,  # type: ignore[arg-type]
            [Shot(name="a.jpg", prob=0.05, seed=1), Shot(name="b.jpg", prob=0.99, seed=2)],
        )
        made.lake.write(f"reports/{made.run_id}.html", b"<p>")
        yield made
    server.stop()


def run(capsys, *arguments):
    """Stdout of a command that ends well."""
    main(arguments)
    return capsys.readouterr().out


def test_runs_have_the_address_of_their_report(made, capsys):
    """An s3:// URI."""
    (line,) = json.loads(run(capsys, "runs", "--lake", LAKE, "--json"))["runs"]
    assert line["report"] == f"{LAKE}/reports/{made.run_id}.html"


def test_images_are_listed_and_found(made, capsys):
    """By decision, and one by the end of its path."""
    told = json.loads(run(capsys, "ls", "--lake", LAKE, "--decision", "flag", "--json"))
    assert [row["image_id"] for row in told["images"]] == [made.ids["b.jpg"]]
    assert run(capsys, "show", "a.jpg", "--lake", LAKE).startswith(f"image {made.ids['a.jpg']}\n")


def test_rows_are_exported_and_queried(made, capsys, tmp_path):
    """To a file here."""
    file = tmp_path / "x.parquet"
    run(capsys, "export", "--lake", LAKE, "--to", str(file))
    assert pl.read_parquet(file)["image_id"].to_list() == sorted(made.ids.values())
    out = run(capsys, "query", "select count(*) as n from scores", "--lake", LAKE)
    assert out.splitlines()[:2] == ["n", "2"]
