"""What the environment says of an object store, in the words of all who speak to one.

The tables are read by deltalake and polars, everything else by obstore. All three stand on the
same library, object_store, whose names of settings are used here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ..errors import StoreError

# Of each scheme: its settings, and the variables that give each, the first of them that is set.
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
    """Return the settings of an environment, under the names that deltalake and polars take.

    What is not set is left out, so that the roles of instances still work. Profiles of `~/.aws`
    are not read.

    Args:
        scheme: One of `CLOUDS`.
        env: Variables, such as `os.environ`.

    Raises:
        StoreError: An endpoint without TLS that is not allowed, or no name of an Azure account.
    """
    options = {}
    for key, names in CLOUDS[scheme].items():
        value = next((env[name] for name in names if env.get(name)), None)
        if value is not None:
            options[key] = value
    endpoint = options.get("aws_endpoint_url", "")
    if endpoint.startswith("http://") and not allows_http(options):
        raise StoreError(f"{endpoint} is not encrypted; set AWS_ALLOW_HTTP=true to use it anyway")
    if scheme == "az" and "azure_storage_account_name" not in options:
        raise StoreError("az:// needs the name of the account; set AZURE_STORAGE_ACCOUNT_NAME")
    return options


def allows_http(options: Mapping[str, str]) -> bool:
    """Return whether an endpoint without TLS may be spoken to."""
    return options.get("aws_allow_http", "").lower() in {"1", "true"}
