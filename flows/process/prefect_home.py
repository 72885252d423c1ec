"""The user's Prefect server, and the settings made before Prefect is imported."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

from ...data.cache import ensure_home
from ...data.errors import ConfigError, shorten
from ...data.user_paths import from_home


def configured_api_url() -> str | None:
    """Return the URL of the configured Prefect server, or None.

    Prefect reads the environment, `.env`, `prefect.toml`, `pyproject.toml` and profiles. Importing
    it takes a second and is skipped if none of these can name a server.

    Raises:
        ConfigError: One of these files cannot be read.
    """
    if "PREFECT_API_URL" in os.environ:  # takes precedence over all others
        return os.environ["PREFECT_API_URL"].strip() or None
    ensure_home()
    if not _may_name_server():
        return None
    return require_settings() or None


def require_settings() -> str | None:
    """Check all settings of Prefect, and return the URL of its server.

    Raises:
        ConfigError: A variable or a file has a value that Prefect does not accept, or Prefect's
            home is not a folder, so that its server could not start.
    """
    from pydantic_settings.exceptions import SettingsError

    try:
        from prefect.settings import Settings

        settings = Settings()
    except (SettingsError, ValueError) as error:
        raise ConfigError(
            f"Prefect's settings cannot be read: {shorten(str(error), 400)}; correct them"
            " (PREFECT_* variables, a profile, prefect.toml)"
        ) from error
    if settings.home.exists() and not settings.home.is_dir():
        raise ConfigError(f"{settings.home} is not a folder; set PREFECT_HOME to one")
    return settings.api.url


def settle(*, quiet: bool) -> None:
    """Set assay's defaults for Prefect; the user's environment overrides them.

    Args:
        quiet: Whether to keep Prefect's log off the console, for a command that prints its own
            output; the server receives all of it.
    """
    wanted = {
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        # The first start migrates a database; the default of 20 s is too short on a small machine.
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        # Colours are escape codes, which assay filters from its output.
        "PREFECT_LOGGING_COLORS": "false",
    }
    if quiet:
        wanted["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] = "CRITICAL"
        wanted["PREFECT_SERVER_LOGGING_LEVEL"] = "CRITICAL"
    ensure_home()
    for name, value in wanted.items():
        os.environ.setdefault(name, value)


def settle_temporary_server() -> None:
    """Turn off the telemetry of the server that a flow starts if none is configured.

    The server inherits this process's environment, in which the user's own setting takes
    precedence. With SQLAlchemy 2.1 its telemetry finds the database locked in the first second and
    prints a traceback.
    """
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")


def _may_name_server() -> bool:
    """Return whether a file that Prefect reads may name a server; if in doubt, True."""
    if Path("prefect.toml").exists():
        return True
    if "prefect_" in _text(Path(".env")).lower() or "tool.prefect" in _text(Path("pyproject.toml")):
        return True
    profiles = os.environ.get("PREFECT_PROFILES_PATH")
    home = os.environ.get("PREFECT_HOME") or Path.home() / ".prefect"
    text = _text(Path(profiles) if profiles else from_home(home) / "profiles.toml")
    try:
        data = tomllib.loads(text)
        active = os.environ.get("PREFECT_PROFILE") or data.get("active")
        return any("API_URL" in key.upper() for key in data.get("profiles", {}).get(active, {}))
    except (tomllib.TOMLDecodeError, AttributeError, TypeError):
        return "api_url" in text.lower()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
