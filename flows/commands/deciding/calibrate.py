"""`assay calibrate`: thresholds with a guarantee, from labelled images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from ....data.text.wording import counted
from ..options import AsJson, DryRun, Flag, LakeUri, open_lake, print_result

if TYPE_CHECKING:
    from ....tasks.calibrate.calibrate import CalibrateResult

_LABEL_CHARS = 12


def calibrate(
    *,
    lake: LakeUri = None,
    guarantee: str = "fpr=1%@95%",
    domain: tuple[str, ...] = (),
    detector: str | None = None,
    precision: str | None = None,
    policy: Path | None = None,
    prevalence: float | None = None,
    review_share: float = 0.05,
    out: Annotated[Path, Parameter(name=["--out", "-o"])] = Path("policy.toml"),
    overwrite: Annotated[bool, Flag] = False,
    json_: AsJson = False,
    dry_run: DryRun = False,
) -> None:
    """Set the thresholds of a policy from labelled images, with a guarantee on its flags.

    Labels come from reviews and from sources. One image per group of copies counts.

    Args:
        lake: Folder of the lake, or its s3:// prefix.
        guarantee: `fpr=1%@95%`: with 95 % confidence, at most 1 % of real images are flagged.
            `fdr=10%`: of the images flagged in a batch, at most 10 % are real on average.
        domain: Domain to calibrate; may be repeated [default: all together, and each domain that
            has enough labelled real images].
        detector: Detector of the scores [default: that of the last decisions].
        precision: Precision of these scores: fp32, bf16, fp16 or int8
            [default: that of the last decisions].
        policy: Policy file with all other rules [default: the packaged policy].
        prevalence: Share of fakes that calibrated probabilities refer to, above 0 and below 1
            [default: that of the labelled images].
        review_share: Share of real images that go to review or are flagged, on average.
        out: Policy file to write.
        overwrite: An existing file is replaced.
        json_: One JSON object on stdout.
        dry_run: The thresholds, and the paths of what would be written; nothing is changed.

    Raises:
        ConfigError: The policy file exists already, or an option is out of range.
    """
    from ....data.commands import command
    from ....data.errors import ConfigError
    from ....data.user_paths import from_home, require_output, write_output
    from ....tasks.calibrate.calibrate import calibrate as calibrate_lake
    from ....tasks.calibrate.guarantee import guarantee_of
    from ....tasks.calibrate.policy_text import policy_text
    from ....tasks.decide.policy_file import load_policy

    requested = guarantee_of(guarantee)
    base = load_policy(None if policy is None else from_home(policy))
    out = from_home(out)
    require_output(out)
    if out.exists() and not overwrite:
        raise ConfigError(f"{out} exists already; name another file, or pass --overwrite")
    opened = open_lake(lake)
    result = calibrate_lake(
        opened,
        requested,
        base=base,
        detector=detector,
        precision=precision,
        domains=domain,
        prevalence=prevalence,
        review_share=review_share,
        is_stored=not dry_run,
    )
    if dry_run:
        _print_dry(result, opened.uri, out, as_json=json_)
        return
    write_output(out, policy_text(result).encode())
    lines = [
        *_lines(result),
        f"policy      {out}",
        "next",
        f"  {command('decide', policy=str(out), lake=opened.uri)} --dry-run",
    ]
    print_result(
        lambda: "\n".join(lines),
        paths=[out],
        values={"lake": opened.uri, "policy": str(out), **result.to_json()},
        as_json=json_,
    )


def _print_dry(result: CalibrateResult, lake: str, out: Path, *, as_json: bool) -> None:
    """Print the thresholds and the effects of a calibration that is not stored."""
    from ...dry_run.effects import Effect, Effects

    effects = Effects(
        reads=[Effect(result.labelled.n_images, "labelled images", lake)],
        writes=[
            Effect(len(result.thresholds), "rows of calibrations", f"{lake}/tables/calibrations"),
            Effect(1, "policy", str(out)),
        ],
    )
    if as_json:
        print(json.dumps({**effects.to_json(), **result.to_json()}))  # noqa: T201
    else:
        print("\n".join([*_lines(result), effects.summary()]))  # noqa: T201


def _lines(result: CalibrateResult) -> list[str]:
    """Return the result as lines with a label at their beginning."""
    from ....tasks.calibrate.guarantee import LIMITS
    from ....tasks.calibrate.policy_text import domain_lines, lines_of

    facts = result.calibration.facts
    lines = [
        f"calibrated  {result.calibration.calibration_id}: {facts['n_reals']:,} real and"
        f" {counted(facts['n_fakes'], 'fake image')}, one per group of copies, of"
        f" {facts['n_images']:,} labelled",
    ]
    if left_out := facts["n_disputed"] + facts["n_unscored"]:
        lines.append(
            f"left out    {left_out:,}: {facts['n_disputed']:,} with contradicting labels,"
            f" {facts['n_unscored']:,} without a score by this detector"
        )
    lines.append(f"guarantee   {result.guarantee.of_all(facts['n_reals'])} {LIMITS}")
    for domain, thresholds in result.thresholds.items():
        flag = "no flag" if thresholds.flag_at is None else f"flag from {thresholds.flag_at:.4f}"
        if result.guarantee.kind == "fdr" and thresholds.why_no_flag is None:
            flag = "flag by the p-values of each batch"
        name = "all domains" if domain is None else f"domain {domain}"
        lines.append(f"thresholds  {name}: review from {thresholds.review_at:.4f}, {flag}")
        lines += [f"{'':{_LABEL_CHARS}}{line}" for line in lines_of(thresholds)]
    for domain, n_reals in result.too_few.items():
        lines.append(
            f"{'':{_LABEL_CHARS}}domain {domain}:"
            f" {counted(n_reals, 'real image is', 'real images are')} too few, the"
            " thresholds of all domains apply without a guarantee for it alone"
        )
    lines += [f"unlike      {line}" for line in domain_lines(result)]
    if result.reliability is not None:
        losses = ", ".join(
            f"{method} {loss:.3f}"
            for method, loss in sorted(result.log_losses.items(), key=lambda pair: pair[1])
        )
        lines.append(
            f"probability {facts['method']}: calibration error {result.reliability.ece.text()},"
            f" Brier score {result.reliability.brier:.3f}; log loss {losses}"
        )
    else:
        lines.append("probability none: fewer than 20 labelled images of one class")
    return lines
