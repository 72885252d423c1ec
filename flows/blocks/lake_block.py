"""The block `AssayLake`: the address of a lake, and the credentials of its store."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from prefect.blocks.core import Block
from prefect.types import SecretDict
from pydantic import Field, HttpUrl, field_validator, model_validator

from ...data.errors import ConfigError
from ...data.object_addresses import is_object, parse
from ...data.store.cloud_options import CLOUDS, variables_of
from ...data.store.open_store import require_address

# Fields of the blocks of prefect-aws and their like, and the variables that they stand for.
_AWS: Final = {
    "aws_access_key_id": "AWS_ACCESS_KEY_ID",
    "aws_secret_access_key": "AWS_SECRET_ACCESS_KEY",
    "aws_session_token": "AWS_SESSION_TOKEN",
    "region_name": "AWS_REGION",
    "profile_name": "AWS_PROFILE",
    "minio_root_user": "AWS_ACCESS_KEY_ID",
    "minio_root_password": "AWS_SECRET_ACCESS_KEY",
}
_GOOGLE: Final = {
    "service_account_file": "GOOGLE_SERVICE_ACCOUNT",
    "service_account_info": "GOOGLE_SERVICE_ACCOUNT_KEY",
}


class AssayLake(Block):
    """Address of an assay lake, with the credentials of its store.

    The credentials are used for the lake's shards and tables, and for sources in the same kind of
    store. Runs record the name of the block, never the credentials.

    Example:
        Load the block and use its lake:
        ```python
        from assay.flows.blocks.lake_block import AssayLake

        lake = AssayLake.load("BLOCK_NAME")
        ```
    """

    _block_type_name: ClassVar[str | None] = "Assay Lake"
    _block_type_slug: ClassVar[str | None] = "assay-lake"
    _description: ClassVar[str | None] = (
        "Address of an assay lake, with the credentials of its object store."
    )
    _documentation_url: ClassVar[HttpUrl | None] = HttpUrl(
        "https://docs.prefect.io/v3/develop/blocks"
    )
    _logo_url: ClassVar[HttpUrl | None] = HttpUrl(
        "https://cdn.sanity.io/images/3ugk85nk/production/"
        "ad39089fa66d273b943394a68f003f7a19aa850e-48x48.png"
    )

    uri: str = Field(
        description="Address of the lake: s3://bucket/prefix, gs://, az://, or an absolute folder.",
        examples=["s3://bucket/lake"],
    )
    variables: SecretDict = Field(
        default_factory=lambda: SecretDict({}),
        description="Credentials and endpoint by the name of their environment variable, such as"
        " AWS_ACCESS_KEY_ID.",
    )
    credentials: str | None = Field(
        default=None,
        description="Another block with the credentials, such as aws-credentials/NAME.",
        examples=["aws-credentials/production"],
    )

    @field_validator("uri")
    @classmethod
    def _check_uri(cls, uri: str) -> str:
        require_address(uri)
        return uri

    @model_validator(mode="after")
    def _check_variables(self) -> AssayLake:
        allowed = allowed_variables(self.uri)
        unknown = sorted(set(self.variables.get_secret_value()) - allowed)
        if unknown:
            raise ValueError(
                f"variables has {', '.join(unknown)}; allowed for {self.uri}: "
                f"{', '.join(sorted(allowed)) or 'none'}"
            )
        return self

    def environment(self) -> dict[str, str]:
        """Return the variables that lead to the store; those of the block itself take precedence.

        Raises:
            ConfigError: The other block has no credentials for this kind of store.
        """
        own = {name: str(value) for name, value in self.variables.get_secret_value().items()}
        if self.credentials is None:
            return own
        found = _variables_in(loaded(Block, self.credentials))
        if not set(found) & allowed_variables(self.uri):
            raise ConfigError(
                f"the block {self.credentials} has no credentials for {self.uri}; name a block"
                " such as aws-credentials/NAME, or set variables"
            )
        return found | own


def loaded(kind: Any, name: str) -> Any:
    """Return a block of a server, also within an event loop, where Prefect would await it."""
    return kind.load(name, _sync=True)


def allowed_variables(uri: str) -> frozenset[str]:
    """Return the names of variables that a block may set for a lake's kind of store."""
    scheme = parse(uri).scheme if is_object(uri) else ""
    if scheme not in CLOUDS:
        return frozenset()
    more = {"AWS_PROFILE"} if scheme == "s3" else set()
    return frozenset(variables_of(scheme)) | more


def _variables_in(block: Any) -> dict[str, str]:
    """Return the variables that the fields of another library's block stand for."""
    found = {}
    for field, variable in {**_AWS, **_GOOGLE}.items():
        if value := _plain(getattr(block, field, None)):
            found[variable] = value
    client = getattr(block, "aws_client_parameters", None)
    if client is not None and (endpoint := _plain(getattr(client, "endpoint_url", None))):
        found["AWS_ENDPOINT_URL"] = endpoint
    return found


def _plain(value: Any) -> str:
    secret = getattr(value, "get_secret_value", None)
    plain = secret() if secret is not None else value
    if isinstance(plain, Mapping):
        return json.dumps(dict(plain)) if plain else ""
    return "" if plain is None else str(plain)
