"""Where Prefect's server is, found without importing Prefect, and how to start one."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path


def configured_api_url() -> str | None:
    """The server that this user set, by `PREFECT_API_URL` or by the active Prefect profile.

    Importing Prefect takes a second; reading its profile file does not.
    """
    if url := os.environ.get("PREFECT_API_URL"):
        return url
    home = Path(os.environ.get("PREFECT_HOME") or Path.home() / ".prefect").expanduser()
    try:
        profiles = tomllib.loads((home / "profiles.toml").read_text())
    except (OSError, tomllib.TOMLDecodeError):
        return None
    active = os.environ.get("PREFECT_PROFILE") or profiles.get("active")
    profile = profiles.get("profiles", {}).get(active, {})
    url = profile.get("PREFECT_API_URL")
    return str(url) if url else None


def settle(*, quiet: bool) -> None:
    """Settings that assay wants and that a user's own environment still overrides.

    Args:
        quiet: Keep Prefect's log off the console, for a command that reports by itself; the
            server gets all of it.
    """
    wanted = {
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        # The first start migrates a database; the default of 20 s is too short on a small machine.
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    }
    if quiet:
        wanted["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] = "CRITICAL"
        wanted["PREFECT_SERVER_LOGGING_LEVEL"] = "CRITICAL"
    for name, value in wanted.items():
        os.environ.setdefault(name, value)
