"""The README.md of a published dataset: its YAML head for the Hub, and what a user must know."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from huggingface_hub import DatasetCardData

from ...synth.generators.presets import notices
from .rows import Pinned, features

_SIZES: Final = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFacts:
    """What the card tells; every mapping is from a name to a number of images."""

    name: str
    lake: str
    pinned: Pinned
    splits: Mapping[str, int]
    split_bytes: Mapping[str, int]
    """Uncompressed, as Parquet counts them."""
    download_bytes: int
    """Of all data files."""
    split_note: str | None
    labels: Mapping[str, int]
    evidence: Mapping[str, int]
    generators: Mapping[str, int]
    license_flags: Sequence[str]
    """Of all synthetic pictures together."""
    n_groups: int
    n_conflicts: int
    seed: int
    fractions: tuple[float, ...]
    max_distance: int
    code_version: str


def dataset_card(facts: CardFacts) -> str:
    """Return the whole README.md."""
    from datasets import DatasetInfo
    from datasets.info import DatasetInfosDict

    n_images = sum(facts.splits.values())
    data = DatasetCardData(
        license="other",
        license_name="not-stated",
        pretty_name=facts.name,
        task_categories=["image-classification"],
        size_categories=[next((size for top, size in _SIZES if n_images < top), "n>10M")],
        tags=["ai-generated-image-detection", "content-moderation"],
        configs=[
            {
                "config_name": "default",
                "data_files": [
                    {"split": split, "path": f"data/{split}-*.parquet"} for split in facts.splits
                ],
            }
        ],
    )
    info = DatasetInfo(
        features=features(),
        splits={
            split: {"name": split, "num_bytes": facts.split_bytes[split], "num_examples": count}
            for split, count in facts.splits.items()
        },
        download_size=facts.download_bytes,
        dataset_size=sum(facts.split_bytes.values()),
    )
    DatasetInfosDict({"default": info}).to_dataset_card_data(data)
    return f"---\n{data.to_yaml()}\n---\n\n{_text(facts, n_images)}"


def _text(facts: CardFacts, n_images: int) -> str:
    pinned = facts.pinned
    note = f" Here they did not come near: {_plain(facts.split_note)}." if facts.split_note else ""
    key = pinned.key
    detector, precision = (key.detector, key.precision) if key else ("none", "no precision")
    shares = ", ".join(f"{part:g}" for part in facts.fractions)
    n_synthetic = sum(facts.generators.values())
    versions = ", ".join(
        f"`{table}` {'(empty)' if version is None else version}"
        for table, version in pinned.versions.items()
    )
    pseudo = (
        "\n**Some labels are the detector's own decisions** (evidence `decision`), asked for when "
        "this was published. They hold its errors; do not measure a detector on them.\n"
        if pinned.labels_from_decisions
        else "\nThe detector's decisions are columns of their own; none of them was made a label.\n"
    )
    return f"""# {_plain(facts.name)}

{n_images:,} images in {facts.n_groups:,} groups of near-duplicates, published by assay \
{facts.code_version} from a lake at pinned table versions ({versions}; see `VERSIONS.lock`).

**Licence: not stated.** The pictures keep the rights of their sources. Fill in `license` above \
before you give this to anybody.

| split | images |
|---|---:|
{_table(facts.splits)}

## Labels

`label` is 0 real, 1 fake (machine-made), 2 laundered (a photo that was changed on its way: \
saved again, resized, attacked), \
or -1 where nobody knows. `label_evidence` says on whose word.

| label | images | | evidence | images |
|---|---:|---|---|---:|
{_side_by_side(facts.labels, facts.evidence)}

The rule for evidence that conflicts:

1. People first. Each reviewer's latest answer counts, `unsure` says nothing. If the others \
disagree, the picture has no label.
2. Else lineage: a picture that assay made is what its record says.
3. Else the sources. If they disagree about the same bytes, the picture has no label.

`label_note` says what was overruled; {facts.n_conflicts:,} images have such a note.
{pseudo}
## Scores

`logit` and `prob_fake` are the raw output of detector `{_plain(detector)}` in \
`{_plain(precision)}`, `decision` that of policy `{_plain(pinned.policy_id or "none")}` on these \
scores. Weights, preprocessing, precision and backend are named in every row. Thresholds \
are not calibrated unless that policy says so.

## Splits

By group, never by row: pictures whose 64-bit perceptual hashes differ in at most \
{facts.max_distance} bits, and a synthetic picture and its parent, are in the same group; a group \
goes whole to one split, chosen by a hash of its name (seed {facts.seed}) so that the shares come \
as near {shares} as groups allow; a split without images is left out.{note} \
Before it was finished, this dataset was read back and checked for copies that cross. Not found \
by such hashes: crops beyond a few per cent, mirror images, other photos of the same scene.

## Synthetic pictures

{n_synthetic:,} of {n_images:,} images were made by assay; their parent, method, generator, \
adapter and licence flags are in the `synthetic_*` columns.
{_generators(facts.generators)}{_notices(facts.license_flags)}
## Known biases

File format, compression and size often differ between sources of real and of machine-made \
pictures, and a model may learn those instead. Compare with a classifier that sees only \
`format`, `width_px` and `height_px` before believing a result.

## Removal

To have a picture removed, write to: **(fill in a contact)**, naming its `image_id`.
"""


def _table(counts: Mapping[str, int]) -> str:
    return "\n".join(f"| {_plain(name)} | {count:,} |" for name, count in counts.items())


def _side_by_side(left: Mapping[str, int], right: Mapping[str, int]) -> str:
    pairs = itertools.zip_longest(_cells(left), _cells(right), fillvalue=" | ")
    return "\n".join(f"| {left} | | {right} |" for left, right in pairs)


def _cells(counts: Mapping[str, int]) -> list[str]:
    return [f"{_plain(name)} | {count:,}" for name, count in counts.items()]


def _generators(generators: Mapping[str, int]) -> str:
    if not generators:
        return ""
    return f"\n| generator | images |\n|---|---:|\n{_table(generators)}\n"


def _notices(license_flags: Sequence[str]) -> str:
    if not license_flags:
        return ""
    text = " ".join(notices(license_flags))
    flags = ", ".join(f"`{_plain(flag)}`" for flag in license_flags)
    return f"\nLicence flags of these: {flags}. {text}".rstrip() + "\n"


def _plain(text: str) -> str:
    """Return text from outside, unable to end a table cell or begin markup in the card."""
    line = " ".join(text.split()).replace("`", "'")
    for sign in "\\|<>[]*":
        line = line.replace(sign, f"\\{sign}")
    return line
