"""`assay bench` and `assay models quantise`: which backend, how fast, and how different."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from .options import AsJson, LakeUri, Quiet, open_lake

if TYPE_CHECKING:
    from ...tasks.bench import Benched
    from ...tasks.detector.backends.protocol import BackendName
    from ...tasks.detector.detector import Detector
    from ...tasks.detector.inputs.profiles import Profile
    from ...tasks.detector.selection.measurements import Measured
    from ...tasks.detector.weights.checkpoint import Checkpoint

Name = Annotated[
    str, Parameter(help="Registered name, org/name@<40-hex revision>, or a local folder.")
]


def bench(
    *,
    detector: Name = "community-forensics",
    lake: LakeUri = None,
    drift: Annotated[bool, Parameter(negative="")] = False,
    n: int = 200,
    backend: tuple[str, ...] = (),
    precision: tuple[str, ...] = (),
    profile: str | None = None,
    policy: str | None = None,
    gate: Annotated[bool, Parameter(negative="")] = False,
    json_: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Measure every backend here: images a second, and drift from fp32 PyTorch's logits.

    Args:
        detector: Whose network.
        lake: With --drift: whose pictures.
        drift: Measure drift on pictures of the lake, in all and by kind of picture, and let it
            decide from now on which backends may be used on this machine.
        n: Pictures of the lake.
        backend: torch, torch-compile or openvino; may be repeated [default: torch, openvino].
        precision: fp32, bf16, fp16 or int8; repeatable [default: fp32, and int8 if made].
        profile: Preprocessing [default: the detector's own].
        policy: A policy.toml whose thresholds count as decisions [default: the packaged one].
        gate: Exit with 6 if one of them is over its limit.
        json_: Print one JSON object on stdout.
        quiet: No progress bars.
    """
    from dataclasses import replace
    from pathlib import Path

    from ...data.errors import GateRefused
    from ...tasks.bench import bench_lake, sample
    from ...tasks.decide.policy_file import load_policy
    from ...tasks.detector.backends.devices import device_kind
    from ...tasks.detector.backends.make import make_backend
    from ...tasks.detector.load import detector_on
    from ...tasks.detector.selection.choose_backend import is_within, measure, refusal
    from ...tasks.detector.selection.measurements import keep_measured, read_measured
    from ...tasks.detector.weights.checkpoint import chosen_profile, find_checkpoint
    from ...tasks.detector.weights.int8_store import find_quantised
    from ..progress import for_terminal, watched

    checkpoint = find_checkpoint(detector)
    prepared = chosen_profile(profile, checkpoint)
    wanted = _wanted(checkpoint, prepared, backend, precision, device_kind())
    if drift:
        opened = open_lake(lake)
        learnt_from: tuple[str, ...] = ()
        if any(number_format == "int8" for _, number_format in wanted):
            learnt_from = find_quantised(
                checkpoint.weights_sha256, prepared, detector=checkpoint.name
            ).image_ids
        images = sample(opened, n, leave_out=learnt_from)
        with watched(for_terminal(quiet=quiet)) as watcher:
            watcher.begin("bench", len(images) * (1 + len(wanted)))
            found = bench_lake(
                opened,
                checkpoint,
                prepared,
                wanted,
                policy=load_policy(Path(policy) if policy else None),
                images=images,
                device="auto",
                on_item=watcher.advance,
            )
            watcher.end()
        measured = [one.measured for one in found]
        text, values = _drift_table(found), [one.to_json() for one in found]
    else:

        def make(name: BackendName, number_format: str) -> Detector:
            quantised = None
            if number_format == "int8":
                quantised = find_quantised(
                    checkpoint.weights_sha256, prepared, detector=checkpoint.name
                )
            runner = make_backend(checkpoint, name, "auto", number_format, quantised)
            return detector_on(checkpoint, prepared, runner)

        measured = [measure(make, name, number_format) for name, number_format in wanted]
        known = read_measured(checkpoint.weights_sha256)
        for one in measured:
            kept = known.get((one.backend, one.precision), one)
            # Drift on a lake's own pictures stands; only the rate is new.
            stands = one if kept.pictures == one.pictures else kept
            new = replace(stands, images_per_second=one.images_per_second)
            keep_measured(checkpoint.weights_sha256, new)
        text, values = _rate_table(measured), [_plain(one) for one in measured]
    print(json.dumps({"detector": checkpoint.detector_id, "backends": values}) if json_ else text)  # noqa: T201
    over = [one for one in measured if not is_within(one)]
    for one in over:
        print(f"assay: {refusal(one)}", file=sys.stderr)  # noqa: T201
    if gate and over:
        raise GateRefused(f"{len(over)} of {len(measured)} backends are over their limit")


def quantise(
    *,
    detector: Name = "community-forensics",
    lake: LakeUri = None,
    n: int = 300,
    profile: str | None = None,
    json_: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Quantise a detector to int8 on pictures of a lake, and measure its drift on others of them.

    Args:
        detector: Whose network.
        lake: Whose pictures: they should be of the kinds that are to be scored.
        n: Pictures to quantise on; as many others, up to 200, to measure on.
        profile: Preprocessing [default: the detector's own].
        json_: Print one JSON object on stdout.
        quiet: No progress bars.
    """
    from ...data.commands import command
    from ...tasks.bench import quantise_on_lake
    from ...tasks.decide.policy_file import load_policy
    from ...tasks.detector.selection.choose_backend import refusal
    from ...tasks.detector.weights.checkpoint import chosen_profile, find_checkpoint
    from ..progress import for_terminal, watched

    checkpoint = find_checkpoint(detector)
    opened = open_lake(lake)
    with watched(for_terminal(quiet=quiet)) as watcher:
        watcher.begin("int8", None)
        made, found = quantise_on_lake(
            opened,
            checkpoint,
            chosen_profile(profile, checkpoint),
            n_images=n,
            policy=load_policy(),
            on_item=watcher.advance,
        )
        watcher.end()
    if json_:
        print(  # noqa: T201
            json.dumps(
                {"model": str(made.model), "precision": made.precision, "n_images": made.n_images}
                | {"bench": None if found is None else found.to_json()}
            )
        )
        return
    print(f"made        {made.model}\n            {made.precision}, on {made.n_images} pictures")  # noqa: T201
    if found is None:
        print("            no other pictures in this lake to measure its drift on")  # noqa: T201
    else:
        print(_drift_table([found]))  # noqa: T201
        if not found.is_within:
            print(f"assay: {refusal(found.measured)}", file=sys.stderr)  # noqa: T201
    score = command("score", precision="int8", detector=detector, profile=profile, lake=opened.uri)
    print(f"next\n  {score}")  # noqa: T201


def _wanted(
    checkpoint: Checkpoint,
    profile: Profile,
    backends: tuple[str, ...],
    precisions: tuple[str, ...],
    kind: str,
) -> list[tuple[BackendName, str]]:
    """Every combination that was asked for, or that there is."""
    from ...data.errors import AssayError
    from ...tasks.detector.backends.devices import choose_precision
    from ...tasks.detector.selection.choose_backend import candidates
    from ...tasks.detector.weights.int8_store import find_quantised

    formats = [choose_precision(one, kind) for one in precisions]
    if not formats:
        formats = ["fp32"]
        try:
            find_quantised(checkpoint.weights_sha256, profile, detector=checkpoint.name)
        except AssayError:
            pass
        else:
            formats += ["int8"] if kind == "cpu" else []
    out: list[tuple[BackendName, str]] = []
    for number_format in formats:
        for name in backends or ("auto",):
            out += [(one, number_format) for one in candidates(name, number_format, kind)]
    return out


def _plain(one: Measured) -> dict[str, object]:
    import dataclasses

    from ...tasks.bench import plain
    from ...tasks.detector.selection.choose_backend import is_within

    return plain(dataclasses.asdict(one)) | {"is_within_limit": is_within(one)}


def _rate_table(measured: list[Measured]) -> str:
    lines = [f"{'backend':<20} {'precision':<18} {'images/s':>8} {'largest drift':>14}"]
    lines += [
        f"{one.backend:<20} {one.precision:<18} {one.images_per_second:>8.1f}"
        f" {one.drift.max:>14.2g}"
        for one in measured
    ]
    return "\n".join([*lines, f"drift: of the logit, on {measured[0].pictures}"])


def _drift_table(found: list[Benched]) -> str:
    from ...tasks.detector.selection.drift import limit_logit

    lines = []
    for one in found:
        m = one.measured
        verdict = "within" if one.is_within else "OVER"
        lines.append(
            f"{m.backend} {m.precision}: {m.images_per_second:.1f} images/s, {verdict} its limit of"
            f" {limit_logit(m.precision):g} logit, on {m.pictures}"
        )
        lines.append(
            f"  {'pictures':<26} {'n':>5} {'mean':>9} {'p99':>9} {'max':>9} {'flips':>6}"
            f" {'AUC':>15}"
        )
        for part in one.slices:
            drift = part.drift
            auc = "-"
            if part.auc is not None and part.auc_reference is not None:
                auc = f"{part.auc_reference:.4f} {part.auc - part.auc_reference:+.4f}"
            lines.append(
                f"  {part.name:<26} {drift.n_images:>5} {drift.mean:>9.2g} {drift.p99:>9.2g}"
                f" {drift.max:>9.2g} {part.flips:>6} {auc:>15}"
            )
    return "\n".join(lines)
