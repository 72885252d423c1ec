"""`assay bench` and `assay models quantise`: rate and drift of each backend."""

from __future__ import annotations

import json
import sys
from typing import Annotated

from cyclopts import Parameter

from ....data.text.wording import counted
from ..options import AsJson, DryRun, Flag, LakeUri, open_lake, print_effects, print_result

Name = Annotated[
    str,
    Parameter(help="Detector: a registered name, org/name@<40-hex revision>, or a local folder."),
]


def bench(
    *,
    detector: Name = "community-forensics",
    lake: LakeUri = None,
    drift: Annotated[bool, Flag] = False,
    n: int = 200,
    backend: tuple[str, ...] = (),
    precision: tuple[str, ...] = (),
    profile: str | None = None,
    policy: str | None = None,
    gate: Annotated[bool, Flag] = False,
    json_: AsJson = False,
    dry_run: DryRun = False,
) -> None:
    """Measure each backend on this machine: images/s, and drift from fp32 PyTorch logits.

    Args:
        detector: Detector to measure.
        lake: Lake that supplies the images for --drift.
        drift: Drift measured on images of the lake, in total and per image type. The result is
            stored and decides which backends may be used on this machine.
        n: Number of images sampled from the lake for --drift.
        backend: Backend to measure: torch, torch-compile or openvino. Repeatable
            [default: torch, openvino].
        precision: Precision to measure: fp32, bf16, fp16 or int8. Repeatable
            [default: fp32, and int8 if quantised].
        profile: Preprocessing [default: the detector's own].
        policy: Policy file whose thresholds define the decisions [default: the packaged one].
        gate: Exit code 6 if a backend exceeds its drift limit.
        json_: One JSON object on stdout.
        dry_run: Counts and paths of what would be read and written; nothing is changed.

    Raises:
        GateRefused: A backend exceeds its drift limit, with `gate`.
    """
    from contextlib import nullcontext
    from pathlib import Path

    from ....data.errors import GateRefused
    from ....tasks.bench.backends import int8_images, measure_backends, wanted_backends
    from ....tasks.bench.on_lake import bench_lake, plain_measured
    from ....tasks.bench.sample import sample
    from ....tasks.bench.tables import drift_table, rate_table
    from ....tasks.decide.policy_file import load_policy
    from ....tasks.detector.backends.devices import device_kind
    from ....tasks.detector.selection.choose_backend import is_within, refusal
    from ....tasks.detector.weights.checkpoint import chosen_profile, find_checkpoint
    from ...process.offline import offline
    from ...progress import for_terminal, watched

    with offline() if dry_run else nullcontext():
        checkpoint = find_checkpoint(detector)
    prepared = chosen_profile(profile, checkpoint)
    wanted = wanted_backends(
        checkpoint, prepared, backends=backend, precisions=precision, kind=device_kind()
    )
    opened = open_lake(lake) if drift else None
    images = None
    if opened is not None:
        images = sample(opened, n, leave_out=int8_images(checkpoint, prepared, wanted))
    if dry_run:
        from ...dry_run.models import bench_effects

        n_images = 0 if images is None else len(images)
        effects = bench_effects(opened, checkpoint, n_images=n_images, n_backends=len(wanted))
        print_effects(effects, as_json=json_)
        return
    if opened is not None and images is not None:
        with watched(for_terminal()) as watcher:
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
        text, values = drift_table(found), [one.to_json() for one in found]
    else:
        measured = measure_backends(checkpoint, prepared, wanted)
        text, values = rate_table(measured), [plain_measured(one) for one in measured]
    print(json.dumps({"detector": checkpoint.detector_id, "backends": values}) if json_ else text)  # noqa: T201
    over = [one for one in measured if not is_within(one)]
    for one in over:
        print(f"assay: {refusal(one)}", file=sys.stderr)  # noqa: T201
    if gate and over:
        exceed = "exceeds its" if len(over) == 1 else "exceed their"
        n_measured = counted(len(measured), "backend")
        raise GateRefused(f"{len(over)} of {n_measured} {exceed} drift limit")


def quantise(
    *,
    detector: Name = "community-forensics",
    lake: LakeUri = None,
    n: int = 300,
    profile: str | None = None,
    json_: AsJson = False,
    dry_run: DryRun = False,
) -> None:
    """Quantise a detector to int8 on images of a lake, and measure its drift.

    Drift is measured on other images of the same lake.

    Args:
        detector: Detector to quantise.
        lake: Lake that supplies the images; they should resemble the images to be scored.
        n: Number of calibration images; up to 200 others are used to measure drift.
        profile: Preprocessing [default: the detector's own].
        json_: One JSON object on stdout.
        dry_run: Counts and paths of what would be read and written; nothing is changed.
    """
    from contextlib import nullcontext

    from ....data.commands import command
    from ....tasks.bench.int8 import quantise_on_lake
    from ....tasks.bench.tables import drift_table
    from ....tasks.decide.policy_file import load_policy
    from ....tasks.detector.selection.choose_backend import refusal
    from ....tasks.detector.weights.checkpoint import chosen_profile, find_checkpoint
    from ...process.offline import offline
    from ...progress import for_terminal, watched

    opened = open_lake(lake)
    with offline() if dry_run else nullcontext():
        checkpoint = find_checkpoint(detector)
    if dry_run:
        from ...dry_run.models import quantise_effects

        prepared = chosen_profile(profile, checkpoint)
        print_effects(quantise_effects(opened, checkpoint, prepared, n=n), as_json=json_)
        return
    with watched(for_terminal()) as watcher:
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
    score = command("score", precision="int8", detector=detector, profile=profile, lake=opened.uri)
    drift = (
        "            drift not measured: the lake holds no other images"
        if found is None
        else drift_table([found])
    )
    lines = [
        f"written     {made.model}",
        f"            {made.precision}, on {counted(made.n_images, 'image')}",
    ]
    values = {"model": str(made.model), "precision": made.precision, "n_images": made.n_images}
    print_result(
        lambda: "\n".join([*lines, drift, "next", f"  {score}"]),
        paths=[made.model],
        values=values | {"bench": None if found is None else found.to_json()},
        as_json=json_,
    )
    if found is not None and not found.is_within:
        print(f"assay: {refusal(found.measured)}", file=sys.stderr)  # noqa: T201
