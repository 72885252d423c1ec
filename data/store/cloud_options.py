"""Settings of object stores from environment variables and profiles.

Tables are read by deltalake and polars, other files and sources by obstore. All three use the
object_store library, and share its names of settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ..errors import StoreError
from .aws_profile import profile_options

# Settings per scheme, with their environment variables; the first variable that is set counts.
CLOUDS: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "s3": {
        "aws_access_key_id": ("AWS_ACCESS_KEY_ID",),
        "aws_secret_access_key": ("AWS_SECRET_ACCESS_KEY",),
        "aws_session_token": ("AWS_SESSION_TOKEN",),
        "aws_region": ("AWS_REGION", "AWS_DEFAULT_REGION"),
        "aws_endpoint_url": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
        "aws_allow_http": ("AWS_ALLOW_HTTP",),
        "aws_skip_signature": ("AWS_SKIP_SIGNATURE",),
    },
    "gs": {
        "google_service_account": ("GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_PATH"),
        "google_service_account_key": ("GOOGLE_SERVICE_ACCOUNT_KEY",),
        "google_application_credentials": ("GOOGLE_APPLICATION_CREDENTIALS",),
        "google_base_url": ("GOOGLE_BASE_URL",),
        "google_skip_signature": ("GOOGLE_SKIP_SIGNATURE",),
        "allow_http": ("GOOGLE_ALLOW_HTTP",),
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
        "azure_storage_endpoint": ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
        "azure_storage_use_emulator": ("AZURE_STORAGE_USE_EMULATOR",),
        "azure_skip_signature": ("AZURE_SKIP_SIGNATURE",),
        "allow_http": ("AZURE_ALLOW_HTTP",),
    },
}

# Settings of the connection, which obstore takes apart from those of the store.
FOR_CLIENT: Final = frozenset({"aws_allow_http", "allow_http"})
_ENDPOINTS: Final = ("aws_endpoint_url", "azure_storage_endpoint", "google_base_url")
_EMULATED_ACCOUNT: Final = "devstoreaccount1"


def storage_options(scheme: str, env: Mapping[str, str]) -> dict[str, str]:
    """Return the settings in the environment, by their object_store names.

    Variables that are not set are left out, so that instance roles still work. S3 without keys in
    the environment uses a profile of `~/.aws`; see `profile_options`.

    Args:
        scheme: Key of `CLOUDS`.
        env: Environment variables, such as `os.environ`.

    Raises:
        StoreError: An endpoint has no TLS and is not allowed, an Azure account has no name, or a
            profile does not exist.
    """
    options = {}
    for key, names in CLOUDS[scheme].items():
        value = next((env[name] for name in names if env.get(name)), None)
        if value is not None:
            options[key] = value
    if scheme == "s3" and "aws_access_key_id" not in options:
        options = profile_options(env) | options
    endpoint = next((options[key] for key in _ENDPOINTS if key in options), "")
    if endpoint.startswith("http://") and not allows_http(options):
        name = {"s3": "AWS", "gs": "GOOGLE", "az": "AZURE"}[scheme]
        raise StoreError(f"{endpoint} is not encrypted; set {name}_ALLOW_HTTP=true to allow it")
    if scheme == "az" and "azure_storage_account_name" not in options:
        if not is_true(options.get("azure_storage_use_emulator", "")):
            raise StoreError("az:// needs an account name; set AZURE_STORAGE_ACCOUNT_NAME")
        options["azure_storage_account_name"] = _EMULATED_ACCOUNT
    return options


def allows_http(options: Mapping[str, str]) -> bool:
    """Return whether an endpoint without TLS is allowed."""
    is_emulated = is_true(options.get("azure_storage_use_emulator", ""))
    return is_emulated or any(is_true(options.get(key, "")) for key in FOR_CLIENT)


def variables_of(scheme: str) -> tuple[str, ...]:
    """Return the environment variables that the settings of a scheme are read from."""
    return tuple(name for names in CLOUDS[scheme].values() for name in names)


def is_true(text: str) -> bool:
    """Return whether a setting is on."""
    return text.lower() in {"1", "true"}
