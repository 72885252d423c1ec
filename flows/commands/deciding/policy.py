"""`assay policy`: the JSON Schema of policy files, and the card of a policy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from ..options import AsJson, DryRun, Flag, LakeUri, open_lake, print_effects, print_result

policy = App(name="policy", help="Describe policy files, which set the decision thresholds.")


@policy.command
def schema(
    *,
    out: Path | None = None,
    overwrite: Annotated[bool, Flag] = False,
    dry_run: DryRun = False,
) -> None:
    """Print the JSON Schema of policy files, for validation and completion in editors.

    Args:
        out: File for the schema [default: stdout].
        overwrite: An existing file is replaced.
        dry_run: Path of the file that would be written; nothing is changed.
    """
    from ....tasks.decide.policy_file import policy_schema
    from ..schema_file import print_schema

    print_schema(policy_schema(), "policy files", out=out, overwrite=overwrite, dry_run=dry_run)


@policy.command
def card(
    *,
    lake: LakeUri = None,
    policy: Path | None = None,
    detector: str | None = None,
    precision: str | None = None,
    out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None,
    json_: AsJson = False,
    dry_run: DryRun = False,
) -> None:
    """Write the signal card: what a detector may do alone under a policy, and how well it does it.

    Args:
        lake: Folder of the lake, or its s3:// prefix.
        policy: Policy file [default: the packaged policy].
        detector: Detector of the scores [default: that of the last decisions].
        precision: Precision of these scores: fp32, bf16, fp16 or int8
            [default: that of the last decisions].
        out: Markdown file to write [default: stdout].
        json_: One JSON object on stdout.
        dry_run: Path of the file that would be written; nothing is changed.

    Raises:
        ConfigError: The lake has no scores by that name.
    """
    from ....data.errors import ConfigError
    from ....data.user_paths import from_home, require_output, write_output
    from ....tasks.accountability.signal_card import signal_card
    from ....tasks.decide.policy_file import load_policy
    from ....tasks.latest_rows import last_judgement
    from ...dry_run.effects import Effect, Effects

    rules = load_policy(None if policy is None else from_home(policy))
    opened = open_lake(lake)
    judgement = last_judgement(opened, detector=detector, precision=precision)
    if judgement is None:
        raise ConfigError(f"{opened.uri} has no such scores; run `assay score` first")
    text = signal_card(opened, rules, judgement.key)
    file = None if out is None else from_home(out)
    if file is not None:
        require_output(file)
        if dry_run:
            effects = Effects(writes=[Effect(1, "signal card", str(file))])
            print_effects(effects, as_json=json_)
            return
        write_output(file, text.encode())
    print_result(
        lambda: text.rstrip() if file is None else f"card        {file}",
        paths=[] if file is None else [file],
        values={"lake": opened.uri, "card": text, "out": None if file is None else str(file)},
        as_json=json_,
    )
