"""`assay models`: list, pull, verify, convert and describe detectors."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from ....data.text.wording import counted
from ...process.verbosity import is_quiet
from ..options import AsJson, DryRun, print_effects, print_result

models = App(name="models", help="List, pull, verify, convert, quantise and describe detectors.")
Positive = Annotated[
    str | None,
    Parameter(help="Class of a high logit of an unregistered checkpoint: fake or real."),
]
Name = Annotated[
    str,
    Parameter(
        help="Detector: a registered or added name, org/name@<40-hex revision>, or a folder."
    ),
]


@models.command(name="list")
def list_(*folders: Path, json_: AsJson = False) -> None:
    """List registered detectors and those of installed packages, with their state on this machine.

    Args:
        *folders: Folders with weights and a card, or folders of such folders, listed too.
        json_: One JSON list on stdout.
    """
    from ....data.commands import command
    from ....tasks.detector.tools.listing import Listed, known_detectors

    rows = known_detectors(folders)
    if json_:
        print(json.dumps([dataclasses.asdict(row) for row in rows]))  # noqa: T201
        return

    def state(row: Listed) -> str:
        if row.problem is not None:
            return f"not usable: {row.problem}"
        if row.here:
            return "on this machine"
        return f"not on this machine: {command('models', 'pull', row.name)}"

    for row in rows:
        network = row.layout if row.added_by else f"{row.layout} layout, {row.image_px or 384} px"
        facts = [state(row), network, row.weights_licence]
        facts.append("pinned" if row.is_pinned else "unverified")
        if row.added_by is not None:
            facts.append(f"by {row.added_by}")
        print(f"{row.name}\n  {'; '.join(facts[: 1 if row.problem else None])}")  # noqa: T201


@models.command
def pull(
    name: str,
    /,
    *,
    to: Path | None = None,
    from_: Annotated[Path | None, Parameter("--from")] = None,
    json_: AsJson = False,
    dry_run: DryRun = False,
) -> None:
    """Download a registered detector's pinned files and check their hashes.

    Args:
        name: Registered name of the detector.
        to: Folder for a copy of the files.
        from_: Folder that supplies the files instead of the hub, for machines without a network.
        json_: One JSON object on stdout.
        dry_run: Counts and paths of what would be read and written; nothing is changed.
    """
    from ....data.commands import command
    from ....tasks.detector.weights.pull import pull as pull_files

    if dry_run:
        from ...dry_run.models import pull_effects

        print_effects(pull_effects(name, to=to, source=from_), as_json=json_)
        return
    files = pull_files(name, to=to, source=from_)
    found = [str(file) for file in (files.weights, files.config) if file is not None]
    score = command("moderate", "SOURCE", detector=name)
    lines = ["hashes match the pinned files:", *(f"  {file}" for file in found)]
    lines += ["next", f"  {command('models', 'verify', name)}", f"  {score}"]
    print_result(
        lambda: "\n".join(lines),
        paths=found,
        values={"name": name, "files": found, "to": None if to is None else str(to)},
        as_json=json_,
    )


@models.command
def verify(
    name: Name,
    /,
    *,
    golden: Path | None = None,
    profile: str | None = None,
    backend: str = "auto",
    positive: Positive = None,
    json_: AsJson = False,
) -> None:
    """Check a detector's hash, tensors, config and direction, and its scores of golden images.

    Args:
        name: Detector to verify.
        golden: Folder of images with known scores, from the registry or its golden.toml.
        profile: Preprocessing [default: the detector's own].
        backend: Backend: auto, torch, torch-compile or openvino.
        positive: Class of a high logit.
        json_: One JSON object on stdout.

    Raises:
        UntrustedWeights: A golden image has another score than is known.
    """
    from ....data.errors import UntrustedWeights
    from ....tasks.detector.load import load_detector
    from ....tasks.detector.tools.verify import (
        TOLERANCE_PROB,
        compare,
        facts_of,
        facts_of_loading,
        known_scores,
    )
    from ....tasks.detector.weights.checkpoint import find_checkpoint

    checkpoint = find_checkpoint(name, positive=positive)
    facts, compared = facts_of(checkpoint) | facts_of_loading(checkpoint), []
    if golden is not None:
        wanted = known_scores(golden, checkpoint)
        detector = load_detector(name, profile=profile, backend=backend, positive=positive)
        facts["scored on"] = f"{detector.backend}: {detector.why}"
        compared = compare(detector, wanted, golden)
    if json_:
        rows = [dataclasses.asdict(one) | {"matches": one.matches} for one in compared]
        print(json.dumps(facts | {"golden": rows}))  # noqa: T201
    else:
        for what, found in facts.items():
            print(f"ok  {what:<10} {found}")  # noqa: T201
        for one in compared:
            seen = one.problem or f"{one.seen:.4f}"
            word = "match   " if one.matches else "MISMATCH"
            print(f"{word}  {one.name}  expected {one.expected:.4f}, measured {seen}")  # noqa: T201
    if wrong := [one.name for one in compared if not one.matches]:
        raise UntrustedWeights(
            f"{len(wrong):,} of {counted(len(compared), 'golden image')} with a score that differs"
            f" from the known one by more than {TOLERANCE_PROB:g}:"
            f" {', '.join(wrong[:5])}; do not use {name} on this machine"
            " until weights, profile and images agree"
        )


@models.command
def convert(
    path: str,
    /,
    *,
    to: Literal["timm", "transformers"],
    out: Annotated[Path, Parameter(name=["--out", "-o"])],
    positive: Positive = None,
    dry_run: DryRun = False,
) -> None:
    """Convert a detector to the other layout, bit for bit.

    Args:
        path: Detector: a folder, a registered name or org/name@<40-hex revision>.
        to: Layout: timm, as published by the authors, or transformers, as ported on the hub.
        out: New folder for the result.
        positive: Class of a high logit.
        dry_run: Paths of what would be read and written; nothing is changed.
    """
    from ....data.commands import command
    from ....tasks.detector.tools.convert import convert as convert_to
    from ....tasks.detector.weights.checkpoint import find_checkpoint

    if dry_run:
        from ...dry_run.models import convert_effects

        print_effects(convert_effects(path, out, positive=positive))
        return
    written = convert_to(find_checkpoint(path, positive=positive), to, out)
    verify_it = command("models", "verify", written, positive=positive)
    print(written if is_quiet() else f"{written}\nnext\n  {verify_it}")  # noqa: T201


@models.command
def card(name: Name, /, *, positive: Positive = None, json_: AsJson = False) -> None:
    """Print a detector's card: pinned files, licences, published figures, limits.

    Args:
        name: Detector to describe.
        positive: Class of a high logit.
        json_: One JSON object on stdout.

    Raises:
        InputError: The detector has no card.
    """
    from ....data.commands import command
    from ....data.errors import InputError
    from ....tasks.detector.tools.listing import card_of, flat
    from ....tasks.detector.weights.registry import MINI_FOLDER, DetectorCard, card_by_name

    # A registered name needs no weights; anything else is known by its weights or its object.
    found = card_by_name(name) or card_of(name, positive=positive)
    if found is None:
        raise InputError(
            f"{name} is not registered and has no card;"
            f" {command('models', 'verify', name)} checks its files"
        )
    if isinstance(found, DetectorCard):
        values = dataclasses.asdict(found)
        if found.repo is None:
            values["read"] = str(MINI_FOLDER / "README.md")
    else:
        values = found.model_dump(mode="json")
    if json_:
        print(json.dumps(values))  # noqa: T201
        return
    for key, value in flat(values).items():
        if value in (None, (), [], "") or key in {"by_name", "golden", "published"}:
            continue
        name, shown = key.replace("_", " "), value
        if key == "may_act_alone":
            name, shown = "decisions", "automatic" if value else "human review required"
        print(f"{name:<16} {shown}")  # noqa: T201
    if not isinstance(found, DetectorCard):
        return
    for figure in found.published:
        print(f"published        {figure.what}: {figure.value} ({figure.source})")  # noqa: T201
    for one in found.golden:
        print(f"golden           {one.name}: {one.prob_fake:.4f}")  # noqa: T201
