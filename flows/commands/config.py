"""`assay config`: which value each setting has here, and who said so."""

from __future__ import annotations

import json

from cyclopts import App

from .options import AsJson, Judging, Reading, Running, given_by

config = App(name="config", help="Settings: which value each has here, and who said so.")


@config.command
def show(
    *,
    run: Running = None,
    reading: Reading = None,
    judging: Judging = None,
    json_: AsJson = False,
) -> None:
    """Print each setting with its value and its origin: flag, env, file or default.

    Options count as they would for `assay moderate`. Settings of the environment and of
    `assay.toml` are checked on the way.
    """
    from ..settings.resolve import resolve
    from ..settings.show import draw, to_json

    resolved = resolve(given_by(run, reading, judging))
    print(json.dumps(to_json(resolved)) if json_ else draw(resolved))  # noqa: T201
