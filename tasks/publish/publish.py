"""Publication of a labelled dataset: a folder without leaks between its splits.

The tables are read at pinned versions and the bytes streamed from the shards. The dataset is
written under a temporary name, read back, checked and then put in its place.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from ...data.errors import InputError, StoreError, brief
from ...data.score_key import ScoreKey
from ...data.store.damage import explain
from ...data.store.files import cannot
from ...data.store.lake import Lake
from ...data.store.places.place import CARD_NAME, LOCK_NAME, Place, Publication
from ...data.store.places.place_at import place_at
from ...version import __version__
from ..copies.near_duplicates import MAX_DISTANCE
from ..lake.fit import require_fit
from ..lake.known_images import require_images_known
from ..lake.pins import record_pin
from ..review.answers import settle
from .data_files.files import Tally, write_file
from .data_files.formats import Format, known_format, suffix_of
from .data_files.written import WrittenFile, read_back, refuse_leaks
from .dataset_card import CardFacts, dataset_card
from .embeddings import embedding_size
from .limits import LeftOut, Limits, record_of
from .pinned import Pinned, pin
from .place import publishing
from .plan import chosen_images
from .selection import Selection
from .shortcut_gate import ShortcutFigures, check_shortcuts
from .splits import FRACTIONS, SPLITS, assign_splits, unmet_shares

_log = logging.getLogger(__name__)

# The Hub's viewer and `datasets` recommend files below 500 MB.
MAX_FILE_BYTES: Final = 400_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishResult:
    """The result of a publication.

    Attributes:
        out: Folder or address of the dataset.
        splits: Number of images per split.
        split_note: Difference between the requested and the actual shares; None without one.
        labels: Number of images per label.
        groups: Number of groups of near-duplicates.
        left_out: Images of the selection that caps, balance or licence flags leave out.
        files: Data files, relative to `out`.
        versions: Version per table; None for an empty table.
        key: Key of the scores; None without scores.
        policy_id: Id of the policy; None without decisions.
        shortcuts: Figures of how well the files alone tell fake from real.
        format: Format of the data files.
        recovered: Action on the remains of an interrupted publish; None without one.
    """

    out: str
    splits: dict[str, int]
    split_note: str | None
    labels: dict[str, int]
    groups: int
    left_out: tuple[LeftOut, ...] = ()
    files: tuple[str, ...]
    versions: dict[str, int | None]
    key: ScoreKey | None
    policy_id: str | None
    shortcuts: ShortcutFigures
    format: Format
    recovered: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the result as plain values; the score key under the names of its columns."""
        values = {name: getattr(self, name) for name in self.__slots__ if name != "key"}
        plain = {
            "files": list(self.files),
            "left_out": [asdict(one) for one in self.left_out],
            "shortcuts": self.shortcuts.to_json(),
        }
        return values | plain | _plain_key(self.key)


def publish(
    lake: Lake,
    out: Path | str,
    *,
    format: str = "hf",  # noqa: A002 - the name of the command's flag
    allow_shortcuts: bool = False,
    align_encoding: bool = False,
    seed: int = 0,
    fractions: Sequence[float] = FRACTIONS,
    detector: str | None = None,
    precision: str | None = None,
    policy_id: str | None = None,
    key: ScoreKey | None = None,
    labels_from_decisions: bool = False,
    only_labelled: bool = False,
    where: str | pl.Expr | None = None,
    ids: Iterable[str] | None = None,
    cap: Mapping[str, int] | None = None,
    balance: str | None = None,
    exclude_license_flags: Sequence[str] = (),
    embeddings: bool = False,
    overwrite: bool = False,
    versions: Mapping[str, int | None] | None = None,
    name: str | None = None,
    check: Callable[[Mapping[str, Any]], None] | None = None,
) -> PublishResult:
    """Publish stored images with their labels, scores and lineage, split by group.

    Groups are those of all images of the lake, so that a selection changes none.

    Args:
        lake: Lake of the images.
        out: Folder to create, or a prefix of an object store, such as `s3://bucket/dataset`.
        format: Format of the data files: "hf" for Parquet with the features of `datasets`,
            "parquet" for Parquet with plain columns, "webdataset" for tar shards.
        allow_shortcuts: Whether to publish with a warning although file size, format, dimensions
            or compression tell fake from real.
        align_encoding: Whether to encode all images alike; see `shortcuts.aligned`.
        seed: Seed of the splits.
        fractions: Shares of train, validation and test, in [0, 1], reached as closely as whole
            groups allow.
        detector: Detector of the scores, a name or an id in the tables; default: the one of the
            last run with decisions.
        precision: Precision of the scores in the tables, or `int8`; default: the one of that run.
        policy_id: Id of the policy of the decisions; default: the one of that run.
        key: Whole key of the scores, in place of `detector` and `precision`.
        labels_from_decisions: Whether an image without any evidence gets its label from the
            decision (flag: fake, clear: real), with `label_evidence` "decision".
        only_labelled: Whether to leave out images without a label.
        where: Condition on the published rows, such as `decision = 'flag' and width_px >= 512`, or
            an expression of polars; `label` is its text. Default: all images.
        ids: Ids of the images to publish, such as a column of a filtered frame; default: all.
        cap: Largest number of images per value of `label`, `domain` or `source` (the folder,
            archive or address above an image), by column.
        balance: One of these columns, with as many images of each value; default: none.
        exclude_license_flags: Licence flags whose images, and all made from them, are left out.
        embeddings: Whether each row has the embedding of the scores' detector.
        overwrite: Whether to replace `out` if it is a dataset published by assay.
        versions: Version per table to read; default: the latest ones.
        name: Name of the dataset in its card; default: that of the folder.
        check: Function that gets the lock before the folder is put in place, and may refuse it by
            an exception.

    Raises:
        ConfigError: An argument is invalid, `out` exists already, or there are no embeddings.
        InputError: The lake has no images to publish, an id is not that of one of its images, or
            there is nothing to balance.
        GateRefused: The files alone tell fake from real; or near-duplicates, or an image and its
            parent, are in different splits.
        StoreError: The lake cannot be read, or the folder cannot be written.
    """
    place = place_at(out)
    data_format = known_format(format)
    selection = Selection.of(where=where, ids=ids, only_labelled=only_labelled)
    limits = Limits.of(cap=cap, balance=balance, exclude_license_flags=exclude_license_flags)
    with _named_errors(lake, place), publishing(place, overwrite=overwrite) as publication:
        if versions is None:
            require_images_known(lake)
            settle(lake)
        return _publish(
            lake,
            place,
            publication,
            pinned=pin(
                lake,
                detector=detector,
                precision=precision,
                policy_id=policy_id,
                key=key,
                labels_from_decisions=labels_from_decisions,
                versions=versions,
            ),
            name=name or place.name,
            check=check,
            selection=selection,
            limits=limits,
            embeddings=embeddings,
            allow_shortcuts=allow_shortcuts,
            align_encoding=align_encoding,
            seed=seed,
            fractions=fractions,
            format=data_format,
        )


@contextlib.contextmanager
def _named_errors(lake: Lake, out: Place) -> Iterator[None]:
    """Turn an OSError, such as that of a full disk, into a StoreError that names the place."""
    try:
        yield
    except OSError as error:
        if (damage := explain(error, lake.uri)) is not None:
            raise damage from error
        raise cannot("write", out, error) from error


def _publish(
    lake: Lake,
    out: Place,
    publication: Publication,
    *,
    pinned: Pinned,
    name: str,
    check: Callable[[Mapping[str, Any]], None] | None,
    selection: Selection,
    limits: Limits,
    embeddings: bool,
    allow_shortcuts: bool,
    align_encoding: bool,
    seed: int,
    fractions: Sequence[float],
    format: Format,  # noqa: A002
) -> PublishResult:
    """Write the dataset under a temporary name, check it, and put it in its place."""
    size = embedding_size(lake, pinned) if embeddings else None
    plan, left_out = chosen_images(lake, pinned, selection, limits, seed=seed)
    plan = plan.with_columns(assign_splits(plan["group_id"], fractions=fractions, seed=seed))
    if plan.is_empty():
        require_fit(lake, None)
        raise _nothing(lake, selection, left_out)
    shortcuts = check_shortcuts(
        lake, pinned, plan, align=align_encoding, allow=allow_shortcuts, seed=seed
    )
    work = publication.work
    (work / publication.data).mkdir(parents=True)
    tally = Tally()
    files = []
    for file, part in _files(plan, publication.data, suffix_of(format)):
        write_file(
            lake,
            pinned,
            work / file,
            part,
            tally,
            align=align_encoding,
            format=format,
            embedding_size=size,
        )
        files.append(read_back(work, file, format))
        publication.keep(file)
    refuse_leaks(files)
    splits = {split: count for split in SPLITS if (count := int((plan["split"] == split).sum()))}
    split_note = unmet_shares(plan["group_id"], plan["split"], fractions=fractions)
    facts = CardFacts(
        name=name,
        data=publication.data,
        lake=lake.uri,
        pinned=pinned,
        selection=selection.describe(),
        left_out=left_out,
        splits=splits,
        split_bytes=_uncompressed_bytes(files),
        download_bytes=sum(file.n_bytes for file in files),
        split_note=split_note,
        labels=_sorted(tally.labels),
        evidence=_sorted(tally.evidence),
        generators=_sorted(tally.generators),
        license_flags=sorted(tally.license_flags),
        n_groups=plan["group_id"].n_unique(),
        n_conflicts=tally.n_conflicts,
        seed=seed,
        fractions=tuple(fractions),
        max_distance=MAX_DISTANCE,
        code_version=__version__,
        shortcuts=shortcuts,
        format=format,
        embedding_size=size,
    )
    (work / CARD_NAME).write_text(dataset_card(facts), encoding="utf-8")
    lock = _lock(facts, files, selection, limits, allow_shortcuts=allow_shortcuts)
    (work / LOCK_NAME).write_text(json.dumps(lock, indent=2) + "\n", encoding="utf-8")
    if check is not None:
        check(lock)
    _pin_versions(lake, str(out), pinned)
    publication.put()
    return PublishResult(
        out=str(out),
        splits=splits,
        split_note=split_note,
        labels=dict(facts.labels),
        groups=facts.n_groups,
        left_out=left_out,
        files=tuple(file.name for file in files),
        versions=dict(pinned.versions),
        key=pinned.key,
        policy_id=pinned.policy_id,
        recovered=publication.recovered,
        shortcuts=shortcuts,
        format=format,
    )


def _nothing(lake: Lake, selection: Selection, left_out: Sequence[LeftOut]) -> InputError:
    """Return the error for a selection without images."""
    parts = [selection.describe(), *(f"{n.images:,} left out: {n.why}" for n in left_out)]
    selected = ", ".join(part for part in parts if part)
    return InputError(
        f"{lake.uri} has no images to publish{f' ({selected})' if selected else ''}; run assay "
        "moderate first" + (", or select others" if selected else "")
    )


def _files(plan: pl.DataFrame, folder: str, suffix: str) -> Iterator[tuple[str, pl.DataFrame]]:
    """Yield the name of each data file below the dataset, and the rows of its images."""
    for split in SPLITS:
        rows = plan.filter(pl.col("split") == split)
        if rows.is_empty():
            continue
        before = rows["n_bytes"].cum_sum() - rows["n_bytes"]
        parts = rows.with_columns(part=before // MAX_FILE_BYTES).partition_by(
            "part", maintain_order=True
        )
        for number, part in enumerate(parts):
            yield f"{folder}/{split}-{number:05d}-of-{len(parts):05d}{suffix}", part


def _uncompressed_bytes(files: Sequence[WrittenFile]) -> dict[str, int]:
    """Return the uncompressed size of each split in bytes."""
    n_bytes: Counter[str] = Counter()
    for file in files:
        n_bytes[file.split] += file.n_uncompressed_bytes or 0
    return dict(n_bytes)


def _pin_versions(lake: Lake, out: str, pinned: Pinned) -> None:
    """Keep the versions of the dataset readable; a lake that cannot be written has no vacuum."""
    try:
        record_pin(lake, out, pinned.versions)
    except StoreError as error:
        _log.warning("the versions of %s are not recorded in the lake: %s", out, brief(error))


def _lock(
    facts: CardFacts,
    files: Sequence[WrittenFile],
    selection: Selection,
    limits: Limits,
    *,
    allow_shortcuts: bool,
) -> dict[str, Any]:
    return {
        "format": 1,
        "name": facts.name,
        "data_format": facts.format,
        "lake": facts.lake,
        "tables": dict(facts.pinned.versions),
        **_plain_key(facts.pinned.key),
        "policy_id": facts.pinned.policy_id,
        "labels_from_decisions": facts.pinned.labels_from_decisions,
        "selection": selection.record(),
        "limits": record_of(limits, facts.left_out),
        "embedding_size": facts.embedding_size,
        "allow_shortcuts": allow_shortcuts,
        "align_encoding": facts.shortcuts.is_aligned,
        "shortcuts": facts.shortcuts.to_json(),
        "seed": facts.seed,
        "fractions": list(facts.fractions),
        "near_duplicate_max_distance": facts.max_distance,
        "splits": dict(facts.splits),
        "split_note": facts.split_note,
        "groups": facts.n_groups,
        "assay": facts.code_version,
        "files": {file.name: {"sha256": file.sha256, "n_bytes": file.n_bytes} for file in files},
    }


def _plain_key(key: ScoreKey | None) -> dict[str, str | None]:
    return dict.fromkeys(ScoreKey.columns()) if key is None else key.as_row()


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items()))
