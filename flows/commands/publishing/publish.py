"""`assay publish`: write a labelled dataset."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from ..options import AsJson, DryRun, Flag, LakeUri, open_lake, print_effects, print_result

if TYPE_CHECKING:
    from ....tasks.publish.publish import PublishResult


def publish(
    *,
    lake: LakeUri = None,
    to: str,
    format_: Annotated[Literal["hf", "parquet", "webdataset"], Parameter("--format")] = "hf",
    detector: str | None = None,
    precision: str | None = None,
    where: str | None = None,
    ids: Path | None = None,
    cap: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    balance: Literal["label", "domain", "source"] | None = None,
    exclude_license_flag: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    seed: int = 0,
    embeddings: Annotated[bool, Flag] = False,
    overwrite: Annotated[bool, Flag] = False,
    allow_shortcuts: Annotated[bool, Flag] = False,
    align_encoding: Annotated[bool, Flag] = False,
    from_lock: str | None = None,
    without_forgotten: Annotated[bool, Flag] = False,
    json_: AsJson = False,
    dry_run: DryRun = False,
) -> None:
    """Write the labelled images as a dataset.

    Args:
        lake: Folder of the lake, or its s3:// prefix.
        to: Folder to write, or a prefix such as s3://bucket/dataset; must be new or empty.
        format_: Format of the data files: `hf` is Parquet for `datasets.load_dataset`, `parquet`
            is Parquet with plain columns, `webdataset` is tar shards.
        detector: Detector whose scores are published [default: that of the last decisions].
        precision: Precision of these scores: fp32, bf16, fp16 or int8
            [default: that of the last decisions].
        where: Condition in SQL on the columns of the dataset, such as "decision = 'flag' and
            width_px >= 512" [default: all images].
        ids: File with the ids of the images to publish: one per line, or a .csv, .parquet or .jsonl
            with a column image_id, as `assay export` writes it [default: all images].
        cap: Largest number of images per value of a column, such as "label=500"; columns: label,
            domain, source (the folder, archive or address above an image).
        balance: Column with as many images of each value, by leaving out others [default: none].
        exclude_license_flag: Licence flag whose images, and all made from them, are left out.
        seed: Seed that draws images and assigns groups of near-duplicates to splits.
        embeddings: Embedding of the scores' detector in each row, as an array of float32.
        overwrite: An existing folder is replaced.
        allow_shortcuts: Dataset published with a warning although file size, format, dimensions
            or compression tell fake from real.
        align_encoding: All images encoded alike: centre square of 384 px, JPEG 90.
        from_lock: VERSIONS.lock of a published dataset, or its folder or prefix, to make again to
            the byte with the options in it; only --to, --lake, --ids and --overwrite go with it.
        without_forgotten: Rest of a dataset of which images were forgotten; with --from-lock.
        json_: One JSON object on stdout.
        dry_run: Counts and paths of what would be read and written; nothing is changed.

    Raises:
        ConfigError: An option does not go with --from-lock.
    """
    from ....data.errors import ConfigError
    from ....tasks.publish.ids_file import read_ids
    from ....tasks.publish.limits import parse_cap
    from ....tasks.publish.publish import publish as publish_lake

    lock = None
    if from_lock is not None:
        from ....tasks.versions.published import read_lock
        from ....tasks.versions.remake import lake_of_lock, publish_from_lock, require_no_choice

        require_no_choice(
            format=format_ != "hf",
            detector=detector,
            precision=precision,
            where=where,
            cap=cap,
            balance=balance,
            exclude_license_flag=exclude_license_flag,
            embeddings=embeddings,
            seed=seed,
            allow_shortcuts=allow_shortcuts,
            align_encoding=align_encoding,
        )
        lock = read_lock(from_lock)
        opened = lake_of_lock(lock, lake)
    elif without_forgotten:
        raise ConfigError("--without-forgotten goes with --from-lock")
    else:
        opened = open_lake(lake)
    caps = parse_cap(cap)
    wanted = None if ids is None else read_ids(ids)
    if dry_run and lock is not None:
        from ...dry_run.remaking import remake_effects

        print_effects(remake_effects(opened, lock, to, overwrite=overwrite), as_json=json_)
        return
    if dry_run:
        from ...dry_run.datasets import publish_effects

        effects = publish_effects(
            opened,
            to,
            overwrite=overwrite,
            where=where,
            ids=wanted,
            cap=caps,
            balance=balance,
            exclude_license_flags=exclude_license_flag,
            seed=seed,
            detector=detector,
            precision=precision,
            format=format_,
        )
        print_effects(effects, as_json=json_)
        return
    if lock is not None:
        result = publish_from_lock(
            opened,
            lock,
            to,
            ids=wanted,
            without_forgotten=without_forgotten,
            overwrite=overwrite,
        )
        _print(result, as_json=json_)
        return
    result = publish_lake(
        opened,
        to,
        format=format_,
        detector=detector,
        precision=precision,
        where=where,
        ids=wanted,
        cap=caps,
        balance=balance,
        exclude_license_flags=exclude_license_flag,
        seed=seed,
        embeddings=embeddings,
        overwrite=overwrite,
        allow_shortcuts=allow_shortcuts,
        align_encoding=align_encoding,
    )
    _print(result, as_json=json_)


def _print(result: PublishResult, *, as_json: bool) -> None:
    from ....data.text.wording import counted
    from ....tasks.publish.opening import opening_command

    counts = ", ".join(
        f"{name} {n:,}" for name, n in (*result.splits.items(), *result.labels.items())
    )
    lines = [f"published   {result.out}"]
    lines.append(f"            {counts}; {counted(result.groups, 'group')}, each in one split")
    lines += [f"left out    {one.images:,}: {one.why}" for one in result.left_out]
    if result.recovered:
        lines.append(f"first       {result.recovered}")
    lines += [f"shortcuts   {sentence}" for sentence in result.shortcuts.sentences()]
    if result.split_note:
        lines.append(f"splits      {result.split_note}")
    lines += ["next", f"  {opening_command(result.out, result.files, result.format)}"]
    print_result(
        lambda: "\n".join(lines), paths=[result.out], values=result.to_json(), as_json=as_json
    )
