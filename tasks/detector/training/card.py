"""Files beside trained weights: `detector.toml`, `eval.json`, the loss curve and the card.

The card's wording follows from the figures and claims no more than they show.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

from ....data.text.wording import counted
from ..inputs.profiles import DEFAULT_PROFILE, profile_for
from .evaluation import Evaluation, Row
from .images import Part, TrainingImage, Twin
from .settings import MiniResult, MiniSettings


def write_card(
    result: MiniResult,
    settings: MiniSettings,
    images: Sequence[TrainingImage],
    twins: Sequence[Twin],
) -> None:
    """Write the four files into `result.out`.

    Args:
        result: Result of the training, with the figures of these weights.
        settings: Settings of the training.
        images: Images of all parts.
        twins: Aligned fakes of all parts.
    """
    out = result.out
    (out / "detector.toml").write_text(_toml(result, settings, twins), encoding="utf-8")
    figures = {
        "weights_sha256": result.weights_sha256,
        "held_out": result.held_out.as_dict(),
        "validation": result.validation.as_dict(),
        "losses": [round(loss, 4) for loss in result.losses],
    }
    (out / "eval.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    (out / "loss.svg").write_text(_curve(result.losses), encoding="utf-8")
    (out / "README.md").write_text(_readme(result, settings, images, twins), encoding="utf-8")


def command_line(settings: MiniSettings) -> str:
    """Return the command that repeats the training, with each folder's last name only."""
    words = ["assay train-mini"]
    words += [f"--real {path.name}" for path in settings.real]
    words += [f"--fake {path.name}" for path in settings.fake]
    words += [f"--manifest {path.name}" for path in settings.manifests]
    words += [f"--autoencoder {path.name}" for path in settings.autoencoders]
    words += [f"--unseen-autoencoder {path.name}" for path in settings.unseen_autoencoders]
    words += [f"--hold-out '{name}'" for name in settings.hold_out]
    words += [f"--minutes {settings.minutes:g}", f"--seed {settings.seed}", "--out mini"]
    return " \\\n    ".join(words)


def verdict(held_out: Evaluation) -> str:
    """Return one sentence on held-out generators, from the figure over all of them."""
    row = next((r for r in held_out.rows if r.against == "all" and r.kind == "generator"), None)
    if row is None:
        return "No source was held out, so there is no figure for images unlike the training ones."
    figure = f"{row.model} on {counted(row.n_fake, 'image')} of held-out generators"
    control = f"a control that sees only file sizes and codec reaches {row.control}"
    if row.model.low <= 0.5:
        return f"On held-out generators it is no better than chance: AUC {figure}; {control}."
    if row.model.auc < 0.75:
        return f"On held-out generators it is weak: AUC {figure}; {control}."
    if row.control.auc >= row.model.auc - 0.03:
        return (
            f"Its AUC is {figure}, but {control}: size and codec reveal the classes of the test "
            "set, so this figure says little about image content."
        )
    return f"Its AUC is {figure}; {control}."


def aligned_verdict(held_out: Evaluation) -> str:
    """Return sentences on aligned fakes of held-out photos, which only a decoder trace reveals."""
    rows = [r for r in held_out.rows if r.kind == "aligned"]
    if not rows:
        return ""
    better = [r for r in rows if r.model.low > 0.5]
    missed = [r for r in rows if r.model.low <= 0.5]

    def spans(some: Sequence[Row]) -> str:
        return ", ".join(f"{_aligned_name(r)} {r.model}" for r in some)

    if not better:
        return (
            f"On aligned fakes of held-out photos it is no better than chance (AUC: {spans(rows)}):"
            " it has learnt the look of its sources, not the trace of a decoder."
        )
    sentences = [
        "On aligned fakes of held-out photos, where content cannot help, its AUC is above "
        f"chance for {spans(better)}."
    ]
    if missed:
        sentences.append(f"It is no better than chance for {spans(missed)}.")
    return " ".join(sentences)


def _aligned_name(row: Row) -> str:
    reduced = f" of photos reduced to {row.short_px} px first" if row.short_px else ""
    return f"`{row.against}`{reduced}"


def _toml(result: MiniResult, settings: MiniSettings, twins: Sequence[Twin]) -> str:
    names = list(dict.fromkeys(t.autoencoder for t in twins if t.photo.part is Part.TRAIN))
    lines = [
        'name = "mini"',
        'positive = "fake"',
        f'profile = "{DEFAULT_PROFILE}"',
        f'weights_sha256 = "{result.weights_sha256}"',
        "",
        "[training]",
        f"parameters = {result.n_parameters}",
        f"steps = {result.steps}",
        f"minutes = {result.seconds / 60:.1f}",
        f"seed = {settings.seed}",
        f"batch = {settings.batch}",
        f"learning_rate = {settings.learning_rate}",
        f"small_px = {settings.small_px}",
        f"autoencoders = {json.dumps(names)}",
        f"hold_out = {json.dumps(list(settings.hold_out))}",
    ]
    return "\n".join(lines) + "\n"


def _readme(
    result: MiniResult,
    settings: MiniSettings,
    images: Sequence[TrainingImage],
    twins: Sequence[Twin],
) -> str:
    held_out, validation = result.held_out, result.validation
    profile = profile_for(DEFAULT_PROFILE, settings.image_px)
    fpr = ", ".join(
        f"{name} {share:.0%} of {held_out.n_real[name]}"
        for name, share in held_out.fpr_at_half.items()
    )
    parts = [
        "# mini: the embedded detector",
        "A small vision transformer that separates AI-generated images from photos, so that the "
        "pipeline can be tried without a download. **It is enough to try the pipeline, not to "
        "moderate with.**",
        verdict(held_out),
        aligned_verdict(held_out),
        "## What it is",
        f"`ViTForImageClassification` of transformers: {result.n_parameters / 1e6:.2f} million "
        f"parameters, {counted(settings.layers, 'layer')} of width {settings.width} with "
        f"{counted(settings.heads, 'head')}, patches of {settings.patch_px} px, input "
        f"{settings.image_px} px, one logit; its sigmoid is the probability of "
        f"AI-generated. Profile: {profile.describe()}.",
        f"sha256 of `model.safetensors`: `{result.weights_sha256}`",
        "## Training data",
        _counts(images, twins),
        "Aligned fakes are photos encoded and decoded by an autoencoder at the same size and saved "
        "with the photo's own JPEG tables and subsampling. Each photo has two: one of the photo as "
        "it is, where scoring's reduction averages out the decoder's trace, and one of the photo "
        f"reduced to a short edge of {settings.reduced_px} px first (the photo's side of the pair "
        "is reduced and saved alike), where the whole trace reaches the detector. Early in "
        "training most of a batch are such pairs. An auxiliary loss has the network predict the "
        "energy of every spatial frequency of its input, in which a decoder shows.",
        "Photo and aligned fake have the same random view: the scoring geometry, native pixels or "
        "a scale between, sometimes resized first, sometimes re-encoded as JPEG of quality 60 to "
        "100 or as WebP, with the same probabilities for both classes.",
        settings.notes,
        "## Figures on held-out sources",
        "Whole sources are held out; the split was fixed before any figure was computed. The "
        "checkpoint was chosen, and its 0.5 set, on the validation part of the training sources. "
        "AUC with a 95 % "
        f"bootstrap interval of 2,000 resamples, against {held_out.n_real.get('all', 0)} held-out "
        "photos. The control is a gradient-boosted classifier on width, height, bytes, bytes per "
        "pixel, JPEG quantisation and format, without pixels.",
        _table(held_out.rows),
        f"Photos above 0.5 (false positives): {fpr or 'no photo was held out'}.",
        "On the validation part of the training sources (new images, known sources):",
        _table(validation.rows),
        "## Repeating it, or training on your own images",
        f"```\n{command_line(settings)}\n```",
        f"This training took {counted(result.steps, 'step')} in {result.seconds / 60:.0f} minutes "
        "on the CPU; the number of steps in that time, and so the weights, depend on the machine. "
        f"Scoring: {result.images_per_second:.0f} images per second at {settings.image_px} px in "
        f"batches of eight on {counted(result.n_threads, 'thread')}, forward pass alone.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _counts(images: Sequence[TrainingImage], twins: Sequence[Twin]) -> str:
    lines = [
        "| source | class | training | validation | held out | origin and licence |",
        "|---|---|---|---|---|---|",
    ]
    licences = {p.source: p.licence.replace("|", "/") for p in images}
    counts = Counter((p.is_fake, p.source, p.part) for p in images)
    for is_fake, source in dict.fromkeys((p.is_fake, p.source) for p in images):
        cells = " | ".join(
            str(counts[is_fake, source, part])
            for part in (Part.TRAIN, Part.VALIDATION, Part.HELD_OUT)
        )
        kind = "fake" if is_fake else "photo"
        lines.append(f"| {source} | {kind} | {cells} | {licences[source] or 'not stated'} |")
    made = Counter((t.autoencoder, t.short_px, t.photo.part) for t in twins)
    for name, short_px in dict.fromkeys((t.autoencoder, t.short_px) for t in twins):
        cells = " | ".join(
            str(made[name, short_px, part]) for part in (Part.TRAIN, Part.VALIDATION, Part.HELD_OUT)
        )
        which = f"photos reduced to {short_px} px" if short_px else "photos"
        lines.append(f"| {which} through `{name}` | aligned fake | {cells} | as the photos |")
    return "\n".join(lines)


def _table(rows: Sequence[Row]) -> str:
    lines = [
        "| against | images | AUC | AUC of the control | recall at 0.5 |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        name = row.against if row.kind == "generator" else f"aligned, {_aligned_name(row)}"
        lines.append(
            f"| {name} | {row.n_fake} | {row.model} | {row.control} | {row.tpr_at_half:.0%} |"
        )
    return "\n".join(lines)


def _curve(losses: Sequence[float]) -> str:
    """Return the training loss as a line in SVG, 480 by 160."""
    top = max([*losses, 0.7])
    points = " ".join(
        f"{10 + 460 * i / max(len(losses) - 1, 1):.1f},{150 - 140 * loss / top:.1f}"
        for i, loss in enumerate(losses)
    )
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 480 160" font-size="9">'
        f'<polyline fill="none" stroke="#357" points="{points}"/>'
        f'<text x="12" y="12">training loss, 0 to {top:.2f}</text></svg>\n'
    )
