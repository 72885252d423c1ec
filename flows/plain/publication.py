"""The step from decided images to a dataset."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Literal

from ...data.errors import ConfigError, InputError, shorten
from ...data.store.lake import Lake
from ...data.store.open_store import require_no_secrets
from ...data.text.wording import counted
from ...tasks.publish.data_files.formats import Format
from ...tasks.publish.publish import PublishResult
from ...tasks.publish.publish import publish as publish_lake
from ...tasks.publish.selection import distinct_ids
from ...tasks.publish.splits import FRACTIONS
from ...tasks.versions.published import read_lock
from ...tasks.versions.remake import lake_of_lock, publish_from_lock, require_no_choice
from .references import Dataset, Decided

if TYPE_CHECKING:
    import polars as pl

Text = str | PathLike[str]


def publish(
    decided: Decided | Sequence[Decided] | Text | None,
    out: Text,
    *,
    format: Format = "hf",  # noqa: A002
    where: str | pl.Expr | None = None,
    ids: Iterable[str] | None = None,
    cap: Mapping[str, int] | None = None,
    balance: Literal["label", "domain", "source"] | None = None,
    exclude_license_flags: Sequence[str] = (),
    only_labelled: bool = False,
    labels_from_decisions: bool = False,
    seed: int = 0,
    fractions: Sequence[float] = FRACTIONS,
    embeddings: bool = False,
    overwrite: bool = False,
    allow_shortcuts: bool = False,
    align_encoding: bool = False,
    from_lock: Text | None = None,
    without_forgotten: bool = False,
) -> Dataset:
    """Publish the images of decided batches as a labelled dataset, or a dataset again.

    Args:
        decided: Decided batch, several of one lake, or the address of a lake for all its images
            under its last decisions; None with `from_lock`.
        out: Folder to create, or a prefix of an object store, such as `s3://bucket/dataset`.
        format: Format of the data files: "hf" for Parquet with the features of `datasets`,
            "parquet" for Parquet with plain columns, "webdataset" for tar shards.
        where: Condition on the published rows: SQL such as `decision = 'flag'`, or an expression
            of polars; default: all images of the batches.
        ids: Ids of the images to publish, each in one of the batches; default: all.
        cap: Largest number of images per value of `label`, `domain` or `source` (the folder,
            archive or address above an image), by column.
        balance: One of these columns, with as many images of each value; default: none.
        exclude_license_flags: Licence flags whose images, and all made from them, are left out.
        only_labelled: Whether to leave out images without a label.
        labels_from_decisions: Whether an image without any evidence gets its label from the
            decision.
        seed: Seed of the draw and of the splits.
        fractions: Shares of train, validation and test, in [0, 1].
        embeddings: Whether each row has the embedding of the scores' detector.
        overwrite: Whether to replace `out` if it is a dataset published by assay.
        allow_shortcuts: Whether to publish with a warning although the files alone tell fake from
            real.
        align_encoding: Whether to encode all images alike.
        from_lock: `VERSIONS.lock` of a published dataset, or its folder or prefix, to make again to
            the byte; `decided` is then None, or the address of a lake that has moved, and the other
            choices are those of the lock.
        without_forgotten: Whether to publish the rest of a dataset of which images were forgotten;
            with `from_lock`.

    Raises:
        AssayError: The lake cannot be read, or the folder cannot be written.
        GateRefused: The files alone tell fake from real, or differ from those of the lock.
        ConfigError: An argument is invalid, or the batches differ in lake, detector or policy.
        InputError: No image is left to publish, or an id is in none of the batches.
    """
    if from_lock is not None:
        require_no_choice(
            format=format != "hf",
            cap=cap,
            balance=balance,
            exclude_license_flags=exclude_license_flags,
            only_labelled=only_labelled,
            labels_from_decisions=labels_from_decisions,
            seed=seed,
            fractions=tuple(fractions) != FRACTIONS,
            embeddings=embeddings,
            allow_shortcuts=allow_shortcuts,
            align_encoding=align_encoding,
        )
        if decided is not None and not isinstance(decided, str | PathLike):
            raise ConfigError(
                "decided batches cannot be given with from_lock, which names the images; give None,"
                " or the address of a lake that has moved"
            )
        lock = read_lock(str(from_lock))
        lake = lake_of_lock(lock, None if decided is None else str(decided))
        again = publish_from_lock(
            lake,
            lock,
            str(out),
            where=where,
            ids=ids,
            without_forgotten=without_forgotten,
            overwrite=overwrite,
        )
        return _dataset(lake, again)
    if without_forgotten:
        raise ConfigError("without_forgotten goes with from_lock")
    if decided is None:
        raise ConfigError("decided is None; allowed: decided batches, or the address of a lake")
    if isinstance(decided, str | PathLike):
        require_no_secrets(str(decided))
        lake, key, policy_id = Lake(str(decided), create=False), None, None
    else:
        batches = [decided] if isinstance(decided, Decided) else list(decided)
        first = _common(batches)
        lake, key, policy_id = Lake(first.lake, create=False), first.key, first.policy_id
        ids = _within(batches, ids)
    result = publish_lake(
        lake,
        str(out),
        key=key,
        policy_id=policy_id,
        format=format,
        where=where,
        ids=ids,
        cap=cap,
        balance=balance,
        exclude_license_flags=exclude_license_flags,
        only_labelled=only_labelled,
        labels_from_decisions=labels_from_decisions,
        seed=seed,
        fractions=fractions,
        embeddings=embeddings,
        overwrite=overwrite,
        allow_shortcuts=allow_shortcuts,
        align_encoding=align_encoding,
    )
    return _dataset(lake, result)


def _dataset(lake: Lake, result: PublishResult) -> Dataset:
    """Return the reference of a published dataset."""
    return Dataset(
        lake=lake.uri,
        out=result.out,
        splits=dict(result.splits),
        labels=dict(result.labels),
        groups=result.groups,
        files=result.files,
        split_note=result.split_note,
        versions=dict(result.versions),
    )


def _common(batches: Sequence[Decided]) -> Decided:
    """Return the first of batches that have one lake, score key and policy."""
    if not batches:
        raise ConfigError("publish has no batches; name at least one")
    first = batches[0]
    for other in batches[1:]:
        for name in ("lake", *first.key.columns(), "policy_id"):
            seen, wanted = getattr(other, name), getattr(first, name)
            if seen != wanted:
                raise ConfigError(
                    f"the batches differ in {name}: {wanted} and {seen}; publish them one by one"
                )
    return first


def _within(batches: Sequence[Decided], ids: Iterable[str] | None) -> Iterable[str] | None:
    """Return the ids to publish; None for the whole lake."""
    if any(batch.batch_id is None for batch in batches):
        return ids
    import polars as pl

    own = pl.concat([batch.ids() for batch in batches]).unique()
    if ids is None:
        return own
    wanted = distinct_ids(ids)
    outside = wanted.filter(~wanted.is_in(own.implode()))
    if len(outside):
        raise InputError(
            f"{len(outside):,} of {counted(len(wanted), 'id is', 'ids are')} not of the batches: "
            f"{shorten(outside[0], 64)}{', ...' if len(outside) > 1 else ''}; allowed: image_id of "
            "their rows"
        )
    return wanted
