"""`assay.toml`: the settings of a project.

`--config` or ASSAY_CONFIG names the file. Otherwise it is searched from the working folder upwards,
to the root of the repository or else to the home folder. Outside both only the working folder is
searched, so that files of other users, as in a shared temporary folder, have no effect.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ...data.errors import ConfigError
from ...data.toml_file import read_toml, toml_value
from ...data.user_paths import from_home
from ..fields.marks import NOT_KEPT
from ..fields.refusals import choices, unknown_setting, values_in_words
from ..request import Request
from .describe import default_words

NAME: Final = "assay.toml"
VARIABLE: Final = "ASSAY_CONFIG"
NO_FILE: Final = "none"
"""Value instead of a file's name: no file is read."""


@dataclass(frozen=True, slots=True)
class SettingsFile:
    """A settings file, read and checked; relative paths in it start from its folder."""

    path: Path
    settings: Mapping[str, Any]
    lines: Mapping[str, int]

    def place(self, name: str) -> str:
        """Return the place of a setting: the file and, if known, the line."""
        return _place(self.path, self.lines.get(name))


def found_file(folder: Path, environment: Mapping[str, str]) -> SettingsFile | None:
    """Return the settings file that applies in a folder, or None.

    Raises:
        ConfigError: The file cannot be read, or holds a setting that is not allowed.
    """
    named = environment.get(VARIABLE)
    if named == NO_FILE:
        return None
    if named:
        return read_settings(folder / from_home(named))
    path = next((one / NAME for one in _looked_in(folder) if (one / NAME).is_file()), None)
    return read_settings(path) if path else None


def read_settings(path: Path) -> SettingsFile:
    """Read and check a settings file.

    Raises:
        ConfigError: The file cannot be read, is not TOML, or holds an unknown setting or a value
            that is not allowed; the message names the file and the line.
    """
    try:
        values = read_toml(path)
        lines = _lines(path.read_text("utf-8-sig"), values)
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read ({error.strerror}); name another file with --config, or pass "
            f"--config {NO_FILE}"
        ) from error
    except ValueError as error:
        raise ConfigError(f"{path}: is not TOML ({error}); correct it") from error
    for name, value in values.items():
        try:
            _check(name, value)
        except (ConfigError, TypeError) as error:
            raise ConfigError(f"{_place(path, lines.get(name))}: {error}") from error
    return SettingsFile(path, values, lines)


def template() -> str:
    """Return an example file: every setting commented out, with its allowed values."""
    parts = [
        "# Settings of assay for this folder and its subfolders. Options and ASSAY_* variables\n"
        "# take precedence. Relative paths start from this folder. `assay config show` prints\n"
        "# the effective values.\n"
    ]
    for name, field in Request.model_fields.items():
        if name in NOT_KEPT:
            continue
        text = str(field.description).partition(" [default:")[0].rstrip(".")
        words = f"{text}. Allowed: {values_in_words(field)}. Default: {default_words(field)}."
        lines = textwrap.wrap(words, 98, initial_indent="# ", subsequent_indent="# ")
        value = field.default
        if value is None:  # no default that TOML could write
            value = (*(field.examples or ()), *choices(field))[0]
        parts.append("\n".join([*lines, f"# {name} = {toml_value(value)}\n"]))
    return "\n".join(parts)


def _check(name: str, value: Any) -> None:
    known = {name: f for name, f in Request.model_fields.items() if name not in NOT_KEPT}
    if name in NOT_KEPT:
        raise ConfigError(f"{name} are arguments of the command and cannot stand in a file")
    if name not in known:
        raise unknown_setting(name, known)
    Request(**{name: value})


def _looked_in(folder: Path) -> Iterator[Path]:
    """Return the folders that are searched for a file, nearest first."""
    above = [folder, *folder.parents]
    for at, one in enumerate(above):
        if (one / ".git").exists():
            return iter(above[: at + 1])
    home = from_home("~")
    return iter(above[: above.index(home) + 1] if home in above else above[:1])


def _lines(text: str, names: Mapping[str, Any]) -> dict[str, int]:
    """Return the first line, counted from 1, that starts with each name."""
    found: dict[str, int] = {}
    for at, line in enumerate(text.splitlines(), 1):
        match = re.match(r"""\s*["']?([A-Za-z0-9_-]+)["']?\s*=""", line)
        if match and match[1] in names:
            found.setdefault(match[1], at)
    return found


def _place(path: Path, line: int | None) -> str:
    return f"{path} line {line}" if line else str(path)
