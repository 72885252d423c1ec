"""Keys, region and endpoint of a profile in `~/.aws`, as written by `aws configure`."""

from __future__ import annotations

import configparser
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ..errors import StoreError

_SETTINGS: Final = {
    "aws_access_key_id": "aws_access_key_id",
    "aws_secret_access_key": "aws_secret_access_key",
    "aws_session_token": "aws_session_token",
    "region": "aws_region",
    "endpoint_url": "aws_endpoint_url",
}


def profile_options(env: Mapping[str, str]) -> dict[str, str]:
    """Return the settings of the profile `AWS_PROFILE`, else of the default one, if there is one.

    Only settings written in the files are read: static keys, region and endpoint. Single sign-on
    and `credential_process` need a program that writes keys to the environment, such as
    `aws configure export-credentials`.

    Args:
        env: Environment variables with the names of profile and files.

    Raises:
        StoreError: A file cannot be read, or the named profile does not exist.
    """
    name = env.get("AWS_PROFILE")
    home = Path(env.get("HOME") or env.get("USERPROFILE") or "/nowhere") / ".aws"
    credentials = Path(env.get("AWS_SHARED_CREDENTIALS_FILE") or home / "credentials")
    config = Path(env.get("AWS_CONFIG_FILE") or home / "config")
    profile = name or "default"
    section = profile if profile == "default" else f"profile {profile}"
    found = _section(config, section), _section(credentials, profile)
    if name and found == (None, None):
        raise StoreError(
            f"AWS_PROFILE is {name!r}, and neither {config} nor {credentials} has that profile"
        )
    written = (found[0] or {}) | (found[1] or {})
    return {ours: written[theirs] for theirs, ours in _SETTINGS.items() if written.get(theirs)}


def _section(path: Path, section: str) -> dict[str, str] | None:
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, configparser.Error) as error:
        # The error of a parser quotes the line, which may be a key.
        raise StoreError(f"{path} cannot be read: {type(error).__name__}") from None
    return dict(parser[section]) if parser.has_section(section) else None
