"""Choice and settings of the store at an address, without a connection."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from obstore.store import AzureStore, GCSStore, S3Store

from assay.data.errors import StoreError
from assay.data.store.cloud_options import storage_options
from assay.data.store.files import cannot
from assay.data.store.local_files import LocalStore
from assay.data.store.object_files import ObjectStore
from assay.data.store.open_store import open_store

GOOGLE_KEY = json.dumps(
    {
        "private_key": "x",
        "private_key_id": "y",
        "client_email": "a@b.example",
        "disable_oauth": True,
    }
)


@pytest.fixture(autouse=True)
def cloud(monkeypatch: pytest.MonkeyPatch) -> None:
    """Return fictitious keys of every cloud."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "eu-central-1",
        "GOOGLE_SERVICE_ACCOUNT_KEY": GOOGLE_KEY,
        "AZURE_STORAGE_ACCOUNT_NAME": "account",
        "AZURE_STORAGE_ACCOUNT_KEY": "a2V5",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("address", "kind", "uri", "options"),
    [
        ("s3://bucket/my/lake", S3Store, "s3://bucket/my/lake", "aws_access_key_id"),
        ("s3a://bucket/lake/", S3Store, "s3://bucket/lake", "aws_access_key_id"),
        ("gs://bucket/my/lake", GCSStore, "gs://bucket/my/lake", "google_service_account_key"),
        ("az://container/lake", AzureStore, "az://container/lake", "azure_storage_account_key"),
        ("az://container", AzureStore, "az://container", "azure_storage_account_name"),
    ],
)
def test_an_address_of_a_cloud_gives_its_store(address, kind, uri, options):
    """Files and tables get the same keys under their own names."""
    store = open_store(address)
    assert isinstance(store, ObjectStore)
    assert store.uri == uri
    assert isinstance(store._store, kind)
    assert store._store.prefix == (uri.partition("://")[2].partition("/")[2] or None)
    assert store.storage_options is not None
    assert options in store.storage_options
    assert store.path("tables/x") == f"{uri}/tables/x"


def test_a_folder_has_no_settings(tmp_path: Path):
    """A folder has None, which differs from a store with the keys of an instance role."""
    store = open_store(tmp_path)
    assert isinstance(store, LocalStore)
    assert store.storage_options is None
    assert storage_options("s3", {}) == {}


def test_azure_needs_the_name_of_its_account(monkeypatch):
    """An Azure address without an account name is refused."""
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME")
    with pytest.raises(StoreError, match="set AZURE_STORAGE_ACCOUNT_NAME"):
        open_store("az://container/lake")


def test_a_key_that_cannot_be_used_is_told_in_one_line(monkeypatch):
    """The message has one line, without Rust frames."""
    monkeypatch.delenv("GOOGLE_SERVICE_ACCOUNT_KEY")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere/key.json")
    with pytest.raises(
        StoreError, match=r"cannot use gs://bucket/lake: .*/nowhere/key\.json"
    ) as told:
        open_store("gs://bucket/lake")
    assert str(told.value).isprintable()


def test_the_first_variable_that_is_set_counts():
    """Variables of one service take precedence over general ones."""
    env = {
        "AWS_ENDPOINT_URL": "https://all.example",
        "AWS_ENDPOINT_URL_S3": "https://s3.example",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AZURE_STORAGE_ACCOUNT_NAME": "account",
        "AZURE_STORAGE_SAS_TOKEN": "sv=1",
        "AZURE_TENANT_ID": "tenant",
    }
    assert storage_options("s3", env) == {
        "aws_endpoint_url": "https://s3.example",
        "aws_region": "eu-west-1",
    }
    assert storage_options("az", env) == {
        "azure_storage_account_name": "account",
        "azure_storage_sas_key": "sv=1",
        "azure_storage_tenant_id": "tenant",
    }


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        ("Error performing PUT https://store/key - 403 Forbidden", "give these credentials"),
        ("Error performing GET https://store/key - HTTP error: error sending request", "AWS_ENDP"),
    ],
)
def test_a_store_that_forbids_or_does_not_answer_is_told_with_what_to_do(error, advice):
    """Also where the address is so long that the end of the error is cut off."""
    for text in (error, error.replace("key", "k" * 400)):
        assert advice in str(cannot("append to", "s3://bucket/lake", OSError(text)))
