"""`assay models`: what the registry knows, getting it, checking it, and turning it round."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from .options import AsJson

models = App(name="models", help="Detectors: list, pull, verify, convert, quantise, card.")
Positive = Annotated[
    str | None, Parameter(help="What a larger logit of an unregistered checkpoint means.")
]


@models.command(name="list")
def list_(*folders: Path, json_: AsJson = False) -> None:
    """The registered detectors, those of installed packages, and which of them are on this machine.

    Args:
        *folders: Folders with weights and a card, or folders of such folders, to list too.
        json_: Print one JSON list on stdout.
    """
    from ...data.commands import command
    from ...tasks.detector.tools.listing import Listed, known_detectors

    rows = known_detectors(folders)
    if json_:
        print(json.dumps([dataclasses.asdict(row) for row in rows]))  # noqa: T201
        return

    def state(row: Listed) -> str:
        if row.problem is not None:
            return f"cannot be used: {row.problem}"
        return "on this machine" if row.here else f"not here: {command('models', 'pull', row.name)}"

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
) -> None:
    """Download a registered detector's pinned files and check their hashes.

    Args:
        name: Registered name.
        to: Copy the files to this folder as well.
        from_: Take them from this folder instead of the hub, for machines without a network.
        json_: Print one JSON object on stdout.
    """
    from ...data.commands import command
    from ...tasks.detector.weights.pull import pull as pull_files

    files = pull_files(name, to=to, source=from_)
    found = [str(file) for file in (files.weights, files.config) if file is not None]
    if json_:
        print(json.dumps({"name": name, "files": found, "to": None if to is None else str(to)}))  # noqa: T201
        return
    print("\n".join(["as pinned:", *(f"  {file}" for file in found)]))  # noqa: T201
    score = command("moderate", "SOURCE", detector=name)
    print(f"next\n  {command('models', 'verify', name)}\n  {score}")  # noqa: T201


@models.command
def verify(
    name: str,
    /,
    *,
    golden: Path | None = None,
    profile: str | None = None,
    backend: str = "auto",
    positive: Positive = None,
    json_: AsJson = False,
) -> None:
    """Check a detector's hash, tensors, config and direction, and its scores of known pictures.

    Args:
        name: Registered or added name, org/name@<40-hex revision>, or a folder.
        golden: Folder of pictures with known scores: the registry's, or its golden.toml's.
        profile: Preprocessing [default: the detector's own].
        backend: auto, torch, torch-compile or openvino.
        positive: fake or real.
        json_: Print one JSON object on stdout.
    """
    from ...data.errors import UntrustedWeights
    from ...tasks.detector.load import load_detector
    from ...tasks.detector.tools.verify import (
        TOLERANCE_PROB,
        compare,
        facts_of,
        facts_of_loading,
        known_scores,
    )
    from ...tasks.detector.weights.checkpoint import find_checkpoint

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
            print(f"{word}  {one.name}  expected {one.expected:.4f}, seen {seen}")  # noqa: T201
    if wrong := [one.name for one in compared if not one.matches]:
        raise UntrustedWeights(
            f"{len(wrong)} of {len(compared)} pictures score otherwise than is known (more than"
            f" {TOLERANCE_PROB:g} apart): {', '.join(wrong[:5])}; do not use {name} here before"
            " weights, profile and pictures agree"
        )


@models.command
def convert(
    path: str,
    /,
    *,
    to: Literal["timm", "transformers"],
    out: Annotated[Path, Parameter(name=["--out", "-o"])],
    positive: Positive = None,
) -> None:
    """Write a detector in the other layout, bit for bit.

    Args:
        path: Folder, registered name or org/name@<40-hex revision>.
        to: timm, as the authors publish it, or transformers, as the hub's port is.
        out: New folder.
        positive: fake or real.
    """
    from ...data.commands import command
    from ...tasks.detector.tools.convert import convert as convert_to
    from ...tasks.detector.weights.checkpoint import find_checkpoint

    written = convert_to(find_checkpoint(path, positive=positive), to, out)
    verify_it = command("models", "verify", written, positive=positive)
    print(f"{written}\nnext\n  {verify_it}")  # noqa: T201


@models.command
def card(name: str, /, *, positive: Positive = None, json_: AsJson = False) -> None:
    """What is known of a detector: pins, licences, published figures, limits.

    Args:
        name: Registered or added name, org/name@<40-hex revision>, or a folder.
        positive: fake or real.
        json_: Print one JSON object on stdout.
    """
    from ...data.commands import command
    from ...data.errors import InputError
    from ...tasks.detector.tools.listing import card_of, flat
    from ...tasks.detector.weights.registry import MINI_FOLDER, DetectorCard, card_by_name

    # A registered name needs no weights; anything else is known by its weights or its object.
    found = card_by_name(name) or card_of(name, positive=positive)
    if found is None:
        raise InputError(
            f"{name} is not registered, so there is no card;"
            f" {command('models', 'verify', name)} tells what can be told from its files"
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
        shown = value
        if key == "may_act_alone":
            shown = "yes" if value else "no: a person decides"
        print(f"{key.replace('_', ' '):<16} {shown}")  # noqa: T201
    if not isinstance(found, DetectorCard):
        return
    for figure in found.published:
        print(f"published        {figure.what}: {figure.value} ({figure.source})")  # noqa: T201
    for one in found.golden:
        print(f"golden           {one.name}: {one.prob_fake:.4f}")  # noqa: T201
