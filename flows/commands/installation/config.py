"""`assay config`: the value and the origin of each setting."""

from __future__ import annotations

import json

from cyclopts import App

from ..options import AsJson, Judging, Reading, Running, given_by

config = App(name="config", help="Show each setting's value and its origin.")


@config.command
def show(
    *,
    run: Running = None,
    reading: Reading = None,
    judging: Judging = None,
    json_: AsJson = False,
) -> None:
    """Print each setting with its value and its origin: flag, env, file or default.

    Options have the same effect as for `assay moderate`. Environment variables and `assay.toml`
    are checked.
    """
    from ...settings.resolve import resolve
    from ...settings.show import draw, to_json

    resolved = resolve(given_by(run, reading, judging))
    print(json.dumps(to_json(resolved)) if json_ else draw(resolved))  # noqa: T201
