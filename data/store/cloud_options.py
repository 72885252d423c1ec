"""Settings of object stores from environment variables.

Tables are read by deltalake and polars, other files by obstore. All three use the object_store
library, and share its names of settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ..errors import StoreError

# Settings per scheme, with their environment variables; the first variable that is set counts.
CLOUDS: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "s3": {
        "aws_access_key_id": ("AWS_ACCESS_KEY_ID",),
        "aws_secret_access_key": ("AWS_SECRET_ACCESS_KEY",),
        "aws_session_token": ("AWS_SESSION_TOKEN",),
        "aws_region": ("AWS_REGION", "AWS_DEFAULT_REGION"),
        "aws_endpoint_url": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
        "aws_allow_http": ("AWS_ALLOW_HTTP",),
    },
    "gs": {
        "google_service_account": ("GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_PATH"),
        "google_service_account_key": ("GOOGLE_SERVICE_ACCOUNT_KEY",),
        "google_application_credentials": ("GOOGLE_APPLICATION_CREDENTIALS",),
    },
    "az": {
        "azure_storage_account_name": ("AZURE_STORAGE_ACCOUNT_NAME",),
        "azure_storage_account_key": ("AZURE_STORAGE_ACCOUNT_KEY",),
        "azure_storage_sas_key": ("AZURE_STORAGE_SAS_KEY", "AZURE_STORAGE_SAS_TOKEN"),
        "azure_storage_client_id": ("AZURE_STORAGE_CLIENT_ID", "AZURE_CLIENT_ID"),
        "azure_storage_client_secret": ("AZURE_STORAGE_CLIENT_SECRET", "AZURE_CLIENT_SECRET"),
        "azure_storage_tenant_id": ("AZURE_STORAGE_TENANT_ID", "AZURE_TENANT_ID"),
        "azure_federated_token_file": ("AZURE_FEDERATED_TOKEN_FILE",),
        "azure_use_azure_cli": ("AZURE_USE_AZURE_CLI",),
    },
}


def storage_options(scheme: str, env: Mapping[str, str]) -> dict[str, str]:
    """Return the settings in the environment, by their object_store names.

    Variables that are not set are left out, so that instance roles still work. Profiles in `~/.aws`
    are not read.

    Args:
        scheme: Key of `CLOUDS`.
        env: Environment variables, such as `os.environ`.

    Raises:
        StoreError: An endpoint has no TLS and is not allowed, or an Azure account has no name.
    """
    options = {}
    for key, names in CLOUDS[scheme].items():
        value = next((env[name] for name in names if env.get(name)), None)
        if value is not None:
            options[key] = value
    endpoint = options.get("aws_endpoint_url", "")
    if endpoint.startswith("http://") and not allows_http(options):
        raise StoreError(f"{endpoint} is not encrypted; set AWS_ALLOW_HTTP=true to allow it")
    if scheme == "az" and "azure_storage_account_name" not in options:
        raise StoreError("az:// needs an account name; set AZURE_STORAGE_ACCOUNT_NAME")
    return options


def allows_http(options: Mapping[str, str]) -> bool:
    """Return whether an endpoint without TLS is allowed."""
    return options.get("aws_allow_http", "").lower() in {"1", "true"}
