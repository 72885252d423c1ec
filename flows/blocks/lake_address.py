"""From the name of a lake's block to its address, with its credentials in the environment."""

from __future__ import annotations

import os

from ...data.errors import ConfigError, shorten
from ..process.prefect_home import configured_api_url, settle
from .names import PREFIX


def address_of(lake: str) -> str:
    """Return the address of a lake given as `block:NAME`, and adopt the block's credentials.

    The credentials become environment variables of this process, and replace others of the same
    kind of store: they count for sources, shards and tables, and for child processes.

    Raises:
        ConfigError: No Prefect server is configured or reached, or the block does not exist or
            cannot be used.
    """
    name = lake.removeprefix(PREFIX)
    if not name:
        raise ConfigError("the lake is block: without a name; give block:NAME")
    settle(quiet=True)  # before Prefect is imported
    if configured_api_url() is None and not _is_in_flow():
        raise ConfigError(
            f"{lake} is a block of a Prefect server, and none is configured; set PREFECT_API_URL,"
            " or give the address of the lake"
        )
    from .lake_block import AssayLake, allowed_variables, loaded

    try:
        block = loaded(AssayLake, name)
        variables = block.environment()
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(
            f"the block assay-lake/{name} cannot be used: {shorten(str(error))}; create it with"
            f' AssayLake(uri=...).save("{name}")'
        ) from error
    if variables:
        for other in allowed_variables(block.uri):
            os.environ.pop(other, None)
        os.environ.update(variables)
    return str(block.uri)


def _is_in_flow() -> bool:
    """Return whether this process runs a flow, whose server may be a temporary one."""
    import sys

    if "prefect" not in sys.modules:
        return False
    from prefect.context import FlowRunContext

    return FlowRunContext.get() is not None
