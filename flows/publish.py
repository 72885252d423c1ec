"""The publish flow: what `assay publish` does, as a Prefect flow with its own form.

Deployments name this module and `publish`, so neither may be renamed.
"""

from __future__ import annotations

from typing import Any, Literal

from prefect import flow

from ..data.errors import ConfigError
from ..data.store.lake import Lake
from ..tasks.publish.publish import publish as publish_lake
from ..tasks.versions.published import read_lock
from ..tasks.versions.remake import lake_of_lock, publish_from_lock, require_no_choice
from ..version import __version__
from .events.event import dataset_published
from .events.send import emit
from .flow_runs.dataset_artifact import write_dataset_artifact
from .flow_runs.presenting import failing_in_words, name_of_run, tagged_and_logged
from .flow_runs.step_task import called_as_task
from .process.prefect_home import settle_temporary_server
from .served import lake_of_run, lasting

settle_temporary_server()


# Prefect draws its form from this signature, so the parameters are plain JSON with defaults.
@flow(name="assay-publish", version=__version__, flow_run_name=name_of_run)
@failing_in_words
def publish(
    to: str,
    lake: str | None = None,
    detector: str | None = None,
    precision: Literal["fp32", "bf16", "fp16", "int8"] | None = None,
    format: Literal["hf", "parquet", "webdataset"] = "hf",  # noqa: A002
    where: str | None = None,
    ids: list[str] | None = None,
    cap: dict[str, int] | None = None,
    balance: Literal["label", "domain", "source"] | None = None,
    exclude_license_flags: list[str] | None = None,
    seed: int = 0,
    embeddings: bool = False,  # noqa: FBT001, FBT002
    overwrite: bool = False,  # noqa: FBT001, FBT002
    allow_shortcuts: bool = False,  # noqa: FBT001, FBT002
    align_encoding: bool = False,  # noqa: FBT001, FBT002
    from_lock: str | None = None,
    without_forgotten: bool = False,  # noqa: FBT001, FBT002
) -> dict[str, Any]:
    """Write the labelled images of a lake as a dataset.

    Args:
        to: Folder to write, or a prefix such as s3://bucket/dataset; must be new or empty unless it
            is replaced.
        lake: Folder of the lake, its s3://, gs:// or az:// prefix, or block:NAME of a Prefect
            server [default: that of the worker, or of the lock].
        detector: Detector whose scores are published [default: that of the last decisions].
        precision: Precision of these scores [default: that of the last decisions].
        format: Format of the data files: hf is Parquet for `datasets`, parquet is Parquet with
            plain columns, webdataset is tar shards.
        where: Condition in SQL on the columns of the dataset, such as "decision = 'flag'"
            [default: all images].
        ids: Ids of the images to publish [default: all].
        cap: Largest number of images per value of label, domain or source, such as {"label": 500}.
        balance: Column with as many images of each value [default: none].
        exclude_license_flags: Licence flags whose images, and all made from them, are left out.
        seed: Seed that draws images and assigns groups of near-duplicates to splits.
        embeddings: Whether each row has the embedding of the scores' detector.
        overwrite: Whether a dataset that assay has published to the folder is replaced.
        allow_shortcuts: Whether to publish with a warning although the files alone tell fake from
            real.
        align_encoding: Whether to encode all images alike.
        from_lock: VERSIONS.lock of a published dataset, or its folder or prefix, to make again to
            the byte with the options in it; only to, lake, ids and overwrite go with it.
        without_forgotten: Whether to publish the rest of a dataset of which images were forgotten;
            with from_lock.

    Returns:
        Values as printed by `--json`.

    Raises:
        ConfigError: An option does not go with `from_lock`.
        AssayError: The lake cannot be read, the folder cannot be written, or a gate refuses.
    """
    lock = None
    if from_lock is not None:
        require_no_choice(
            format=format != "hf",
            detector=detector,
            precision=precision,
            where=where,
            cap=cap,
            balance=balance,
            exclude_license_flags=exclude_license_flags,
            seed=seed,
            embeddings=embeddings,
            allow_shortcuts=allow_shortcuts,
            align_encoding=align_encoding,
        )
        lock = read_lock(from_lock)
    elif without_forgotten:
        raise ConfigError("without_forgotten goes with from_lock")
    opened = lake_of_lock(lock, lake) if lock else Lake(lake_of_run(lake), create=False)
    with tagged_and_logged("publish", opened.uri, detector):
        if lock is not None:
            result = called_as_task("publish", publish_from_lock)(
                opened,
                lock,
                lasting("to", to),
                ids=ids,
                without_forgotten=without_forgotten,
                overwrite=overwrite,
            )
        else:
            result = called_as_task("publish", publish_lake)(
                opened,
                lasting("to", to),
                detector=detector,
                precision=precision,
                format=format,
                where=where,
                ids=ids,
                cap=cap,
                balance=balance,
                exclude_license_flags=exclude_license_flags or (),
                seed=seed,
                embeddings=embeddings,
                overwrite=overwrite,
                allow_shortcuts=allow_shortcuts,
                align_encoding=align_encoding,
            )
        write_dataset_artifact(result)
    emit(dataset_published(result, lake=opened.uri))
    return result.to_json()
