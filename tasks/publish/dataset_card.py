"""The dataset card, README.md: its YAML header for the Hub, and the text for users."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from huggingface_hub import DatasetCardData

from ...data.text.wording import counted
from ...synth.generators.presets import notices
from ..shortcuts.aligned import ENCODING
from .data_files.formats import Format, suffix_of
from .limits import LeftOut
from .pinned import Pinned
from .rows import features
from .shortcut_gate import ShortcutFigures

if TYPE_CHECKING:
    from datasets.info import DatasetInfosDict

_SIZES: Final = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
)

_FILES: Final[Mapping[Format, str]] = {
    "hf": "Parquet with the features of `datasets`: `datasets.load_dataset` opens this folder.",
    "parquet": "Parquet with plain columns: `image` holds the bytes of the encoded image, `label`"
    " its text, `split` the split.",
    "webdataset": "Tar shards in the layout of WebDataset: each image is a file named by its"
    " `image_id`, followed by a JSON file of that name with its row.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFacts:
    """The facts of a dataset card.

    Attributes:
        name: Name of the dataset.
        data: Folder of the data files.
        lake: Address of the lake.
        pinned: Table versions, score key and policy of the dataset.
        selection: Selection of the images in words; empty for all images of the lake.
        left_out: Images of the selection that limits leave out.
        splits: Number of images per split.
        split_bytes: Uncompressed size per split in bytes, as Parquet counts it.
        download_bytes: Size of all data files in bytes.
        split_note: Difference between the requested and the actual shares; None without one.
        labels: Number of images per label.
        evidence: Number of images per kind of evidence.
        generators: Number of images per generator.
        license_flags: Licence flags of all synthetic images.
        n_groups: Number of groups of near-duplicates.
        n_conflicts: Number of images with a `label_note`.
        seed: Seed of the splits.
        fractions: Requested shares of train, validation and test.
        max_distance: Largest distance of near-duplicates in bits.
        code_version: Version of assay.
        shortcuts: Figures of how well the files alone tell fake from real.
        format: Format of the data files.
        embedding_size: Number of values per embedding; None without embeddings.
    """

    name: str
    data: str
    lake: str
    pinned: Pinned
    selection: str
    left_out: Sequence[LeftOut]
    splits: Mapping[str, int]
    split_bytes: Mapping[str, int]
    download_bytes: int
    split_note: str | None
    labels: Mapping[str, int]
    evidence: Mapping[str, int]
    generators: Mapping[str, int]
    license_flags: Sequence[str]
    n_groups: int
    n_conflicts: int
    seed: int
    fractions: tuple[float, ...]
    max_distance: int
    code_version: str
    shortcuts: ShortcutFigures
    format: Format
    embedding_size: int | None = None


def dataset_card(facts: CardFacts) -> str:
    """Return the text of README.md.

    Args:
        facts: Facts of the dataset.
    """
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
                    {"split": split, "path": f"{facts.data}/{split}-*{suffix_of(facts.format)}"}
                    for split in facts.splits
                ],
            }
        ],
    )
    if facts.format == "hf":
        _features_and_sizes(facts).to_dataset_card_data(data)
    return f"---\n{data.to_yaml()}\n---\n\n{_text(facts, n_images)}"


def _features_and_sizes(facts: CardFacts) -> DatasetInfosDict:
    """Return what `datasets` checks when it loads the files."""
    from datasets import DatasetInfo
    from datasets.info import DatasetInfosDict

    info = DatasetInfo(
        features=features(facts.embedding_size),
        splits={
            split: {"name": split, "num_bytes": facts.split_bytes[split], "num_examples": count}
            for split, count in facts.splits.items()
        },
        download_size=facts.download_bytes,
        dataset_size=sum(facts.split_bytes.values()),
    )
    return DatasetInfosDict({"default": info})


def _text(facts: CardFacts, n_images: int) -> str:
    pinned = facts.pinned
    note = (
        f" These shares were not reached: {_plain(facts.split_note)}." if facts.split_note else ""
    )
    key = pinned.key
    detector, precision = (key.detector, key.precision) if key else ("none", "no precision")
    shares = ", ".join(f"{part:g}" for part in facts.fractions)
    n_synthetic = sum(facts.generators.values())
    versions = ", ".join(
        f"`{table}` {'(empty)' if version is None else version}"
        for table, version in pinned.versions.items()
    )
    chosen = (
        f"\nThe dataset holds the images of the lake {_plain(facts.selection)}.\n"
        if facts.selection
        else ""
    )
    pseudo = (
        "\n**Some labels are decisions of the detector** (evidence `decision`), as requested when "
        "this dataset was published. They contain its errors; do not evaluate a detector on them.\n"
        if pinned.labels_from_decisions
        else "\nDecisions of the detector are in columns of their own; no label comes from them.\n"
    )
    return f"""# {_plain(facts.name)}

{counted(n_images, "image")} in {counted(facts.n_groups, "group")} of near-duplicates, published \
by assay {facts.code_version} from a lake at pinned table versions ({versions}; see \
`VERSIONS.lock`).
{chosen}{_limits(facts)}
**Licence: not stated.** The images are subject to the rights of their sources. Fill in `license` \
above before you share this dataset.

| split | images |
|---|---:|
{_table(facts.splits)}

## Files

{_FILES[facts.format]}

## Labels

{_label_values(facts.format)} `label_evidence` names the evidence for the label.

| label | images | | evidence | images |
|---|---:|---|---|---:|
{_side_by_side(facts.labels, facts.evidence)}

The rule for conflicting evidence:

1. Reviews: the latest answer of each reviewer counts; `unsure` is no answer. If the answers \
disagree, the image has no label.
2. Otherwise lineage: an image that assay made has the label of its record.
3. Otherwise the sources: if they disagree about the same bytes, the image has no label.

`label_note` names overruled and conflicting evidence; \
{counted(facts.n_conflicts, "image has", "images have")} such a note.
{pseudo}
## Scores

`logit` and `prob_fake` are the raw output of detector `{_plain(detector)}` in \
`{_plain(precision)}`; `decision` is that of policy `{_plain(pinned.policy_id or "none")}` on \
these scores. Every row names weights, preprocessing, precision and backend. Thresholds are not \
calibrated unless the policy says so.{_embeddings(facts)}

## Splits

Images are assigned to splits by group. Images whose 64-bit perceptual hashes differ in at most \
{counted(facts.max_distance, "bit")} are in one group, and so are a synthetic image and its \
parent. A group is assigned to one split by a hash of its name (seed {facts.seed}), so that the \
shares come as close to {shares} as whole groups allow; a split without images is left out.{note} \
Before publication, the files were read back and checked for near-duplicates in different splits. \
Perceptual hashes do not find crops of more than a few per cent, mirrored images, or other \
photos of the same scene.

## Synthetic images

{n_synthetic:,} of {counted(n_images, "image")} were made by assay; parent, method, generator, \
adapter and licence flags are in the columns `synthetic_*`.
{_generators(facts.generators)}{_notices(facts.license_flags)}
## Known biases

File format, compression and size often differ between sources of real and of AI-generated \
images, and a model may learn these differences instead. A classifier that sees no content was \
cross-validated by group on the labelled images; an AUC of 0.5 is chance.
{_shortcuts(facts.shortcuts)}
## Removal

To request the removal of an image, write to **(fill in a contact)** and name its `image_id`.
"""


def _label_values(format: Format) -> str:  # noqa: A002
    real, fake, laundered, none = (
        ("0 for real", "1 for fake", "2 for laundered", "-1 for unlabelled")
        if format == "hf"
        else ("`real`", "`fake`", "`laundered`", "null for unlabelled")
    )
    return (
        f"`label` is {real}, {fake} (AI-generated), {laundered} (a photo that was altered"
        f" afterwards: saved again, resized or attacked) or {none}."
    )


def _table(counts: Mapping[str, int]) -> str:
    return "\n".join(f"| {_plain(name)} | {count:,} |" for name, count in counts.items())


def _side_by_side(left: Mapping[str, int], right: Mapping[str, int]) -> str:
    pairs = itertools.zip_longest(_cells(left), _cells(right), fillvalue=" | ")
    return "\n".join(f"| {left} | | {right} |" for left, right in pairs)


def _cells(counts: Mapping[str, int]) -> list[str]:
    return [f"{_plain(name)} | {count:,}" for name, count in counts.items()]


def _shortcuts(figures: ShortcutFigures) -> str:
    lines = [f"- {sentence}" for sentence in figures.sentences()]
    if figures.is_aligned:
        lines.append(f"- The published files are encoded alike: {ENCODING}.")
    if figures.is_above:
        lines.append(
            "- **The published files tell fake from real without their content.** Compare each"
            " result with that of such a classifier."
        )
    return "\n" + "\n".join(lines) + "\n"


def _generators(generators: Mapping[str, int]) -> str:
    if not generators:
        return ""
    return f"\n| generator | images |\n|---|---:|\n{_table(generators)}\n"


def _limits(facts: CardFacts) -> str:
    """Return what limits leave out, with the rule of the draw; empty without limits."""
    if not facts.left_out:
        return ""
    rows = [
        f"| {_plain(one.why)} | {one.images:,} | "
        + ", ".join(f"{_plain(name)} {count:,}" for name, count in one.labels.items())
        + " |"
        for one in facts.left_out
    ]
    table = "\n".join(rows)
    return f"""
Images of the selection are left out by these limits:

| limit | left out | of these |
|---|---:|---|
{table}

Which images are drawn follows from hashes of seed {facts.seed}, group and id. From each group of \
near-duplicates one image of each label is taken first, then the second ones, and so on.
"""


def _embeddings(facts: CardFacts) -> str:
    if facts.embedding_size is None:
        return ""
    where = (
        "the file `.npy` of a sample" if facts.format == "webdataset" else "the column `embedding`"
    )
    return (
        f" The detector's embedding of the stored image, {facts.embedding_size} numbers (float32)"
        f" under the same weights, preprocessing and precision, is {where}; images without a score"
        " have none."
    )


def _notices(license_flags: Sequence[str]) -> str:
    if not license_flags:
        return ""
    text = " ".join(notices(license_flags))
    flags = ", ".join(f"`{_plain(flag)}`" for flag in license_flags)
    return f"\nLicence flags of the synthetic images: {flags}. {text}".rstrip() + "\n"


def _plain(text: str) -> str:
    """Return outside text with the characters escaped that end a table cell or begin markup."""
    line = " ".join(text.split()).replace("`", "'")
    for sign in "\\|<>[]*":
        line = line.replace(sign, f"\\{sign}")
    return line
