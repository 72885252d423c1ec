"""Every image of a shard gets one row, whatever happens to its neighbours."""

import hashlib
import threading
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest
import torch
from factories import encoded, noise, photo
from tiny_models import timm_tensors, write_timm

from assay.data.errors import StoreError
from assay.data.images.inspect_image import ImageLimits, inspect_image
from assay.data.store.lake import Lake
from assay.data.store.shards import ShardImage
from assay.data.vocabulary import Reason
from assay.tasks.detector import streaming
from assay.tasks.detector.inputs.preprocess import preprocess
from assay.tasks.detector.load import identify, load_detector
from assay.tasks.detector.streaming import bare_forward
from assay.tasks.score import ScoreCounts, pending, score_shard
from assay.tasks.work import commit_portions


@pytest.fixture(params=["openvino", "torch"])
def detector(tmp_path, request):
    """Return the same tiny ViT on each backend."""
    folder = write_timm(tmp_path / "tiny", timm_tensors())
    return load_detector(str(folder), device="cpu", backend=request.param)


def lake_of(folder, raws: list[bytes]) -> tuple[Lake, str, list[str]]:
    """Return a lake with one shard that holds these bytes, decodable or not."""
    lake = Lake(folder)
    ids = [hashlib.sha256(raw).hexdigest() for raw in raws]
    facts = inspect_image(encoded(photo(), "PNG"))
    places = lake.write_shard(
        [ShardImage(image_id=i, raw=raw, format="PNG") for i, raw in zip(ids, raws, strict=True)]
    )
    rows = [
        {
            "image_id": place.image_id,
            "shard": place.shard,
            "row_group": place.row_group,
            "row": place.row,
            "n_bytes": 1,
            "format": "PNG",
            "mode": "RGB",
            "width_px": 96,
            "height_px": 64,
            "n_frames": 1,
            "phash": facts.phash,
            "jpeg_quality": None,
            "capture": None,
            "ai_declared": None,
            "batch_id": "b-0",
            "ingested_at": datetime.now(UTC),
        }
        for place in places
    ]
    lake.append("images", rows, txn="images")
    return lake, places[0].shard, ids


def pictures(n: int) -> list[bytes]:
    return [encoded(noise(seed=seed, size=(70 + seed, 90)), "PNG") for seed in range(n)]


def scores(lake: Lake) -> pl.DataFrame:
    return lake.scan("scores").collect().sort("image_id")


def test_rows_say_what_made_them(tmp_path, detector):
    """A row has logit, probability, embedding, weights, profile, backend and precision."""
    raws = pictures(5)
    lake, shard, ids = lake_of(tmp_path / "lake", raws)
    assert score_shard(lake, shard, ids, detector, run_id="r1") == ScoreCounts(scored=5)
    rows = {row["image_id"]: row for row in scores(lake).iter_rows(named=True)}
    pixels = np.stack([preprocess(raw, detector.profile) for raw in raws])
    logits, embeddings = detector.forward(pixels)
    for image_id, logit, embedding in zip(ids, logits, embeddings, strict=True):
        row = rows[image_id]
        assert row["logit"] == pytest.approx(logit, abs=1e-3)
        assert row["prob_fake"] == pytest.approx(1 / (1 + np.exp(-logit)), abs=1e-4)
        np.testing.assert_allclose(row["embedding"], embedding, atol=1e-3)
        assert (row["status"], row["reason"], row["run_id"]) == ("scored", None, "r1")
        assert row["detector"] == detector.detector_id
        assert row["weights_sha256"] == detector.weights_sha256
        assert row["profile"] == detector.profile.describe()
        assert (row["backend"], row["precision"]) == (detector.backend, "fp32")
        assert row["backend"] in {"openvino-cpu", "torch-cpu"}


def test_scores_do_not_depend_on_batch_order_or_threads(tmp_path, detector):
    """The same image has the same logit within 1e-3."""
    raws = pictures(9)
    items = [(str(index), raw) for index, raw in enumerate(raws)]
    found = []
    for n_workers, batch, order in [(1, 1, 1), (2, 4, -1), (3, 9, 1)]:
        detector.batch_images = batch
        done = streaming.score_stream(detector, items[::order], n_workers=n_workers)
        found.append({s.image_id: s.logit for part in done for s in part})
    for other in found[1:]:
        assert other.keys() == found[0].keys()
        assert max(abs(other[k] - found[0][k]) for k in other) < 1e-3


def test_scoring_again_does_nothing(tmp_path, detector):
    """Images already scored are counted; the others are scored."""
    lake, shard, ids = lake_of(tmp_path / "lake", pictures(6))
    first = score_shard(lake, shard, ids[:4], detector, run_id="r1")
    assert pending(lake, detector.key).height == 2
    seen: list[int] = []
    again = score_shard(lake, shard, ids, detector, run_id="r2", on_item=seen.append)
    assert (first, again) == (ScoreCounts(scored=4), ScoreCounts(scored=2, known=4))
    assert sum(seen) == 6
    assert score_shard(lake, shard, ids, detector, run_id="r2") == ScoreCounts(known=6)
    assert scores(lake).height == 6
    assert pending(lake, detector.key).is_empty()


def test_another_profile_or_precision_is_another_score(tmp_path, detector):
    """Rows of one key never count for another."""
    lake, shard, ids = lake_of(tmp_path / "lake", pictures(2))
    score_shard(lake, shard, ids, detector, run_id="r")
    folder = str(tmp_path / "tiny")
    assert pending(lake, load_detector(folder).key).is_empty()
    assert pending(lake, load_detector(folder, profile="hf-clip").key).height == 2
    assert pending(lake, identify(folder, precision="bf16").key).height == 2
    assert pending(lake, load_detector(folder).key, image_ids=pl.Series([ids[0], "x"])).is_empty()


def test_pending_is_in_stored_order(tmp_path, detector):
    """Images are ordered by shard, row group and row, so that reads go forward."""
    lake, _, ids = lake_of(tmp_path / "lake", pictures(4))
    left = pending(lake, detector.key, image_ids=pl.Series(ids[::-1]))
    assert left.columns == ["image_id", "shard", "row_group", "row"]
    assert left["image_id"].to_list() == ids
    assert pending(lake, detector.key, image_ids=pl.Series([], dtype=pl.String)).is_empty()


def test_pictures_that_do_not_decode_are_failed_rows(tmp_path, detector):
    """A failed row has a closed reason and no score; its neighbours are scored."""
    good = pictures(2)
    lake, shard, ids = lake_of(tmp_path / "lake", [good[0], good[1][:300], b"text", good[1]])
    counts = score_shard(lake, shard, ids, detector, run_id="r")
    assert counts == ScoreCounts(scored=2, failed=2)
    rows = {row["image_id"]: row for row in scores(lake).iter_rows(named=True)}
    assert [rows[i]["status"] for i in ids] == ["scored", "failed", "failed", "scored"]
    assert [rows[i]["reason"] for i in ids] == [None, "truncated", "not_an_image", None]
    for image_id in ids[1:3]:
        assert [rows[image_id][k] for k in ("logit", "prob_fake", "embedding")] == [None] * 3
    assert pending(lake, detector.key).is_empty()


def test_limits_at_scoring(tmp_path, detector):
    """An image beyond the limits fails alone."""
    lake, shard, ids = lake_of(tmp_path / "lake", pictures(1))
    limits = ImageLimits(max_pixels=100)
    assert score_shard(lake, shard, ids, detector, run_id="r", limits=limits).failed == 1
    assert scores(lake)["reason"].to_list() == ["too_many_pixels"]


@pytest.mark.parametrize("bias", [float("inf"), float("-inf"), float("nan")])
def test_logits_that_are_no_numbers_are_never_scores(tmp_path, detector, bias):
    """NaN and both infinities become failed rows."""
    lake, shard, ids = lake_of(tmp_path / "lake", pictures(3))
    real = detector.runner.run
    detector.runner.run = lambda pixels: (real(pixels)[0] + np.float32(bias), real(pixels)[1])
    assert score_shard(lake, shard, ids, detector, run_id="r") == ScoreCounts(failed=3)
    rows = scores(lake)
    assert rows["reason"].unique().to_list() == [Reason.NON_FINITE_LOGIT.value]
    assert rows["logit"].null_count() == rows["prob_fake"].null_count() == 3


def out_of_memory_above(detector, most: int, sizes: list[int]) -> None:
    """Make the network refuse batches of more than `most`, and note the accepted sizes."""
    real = detector.forward

    def forward(pixels):
        if len(pixels) > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        sizes.append(len(pixels))
        return real(pixels)

    detector.forward = forward


def test_batches_halve_when_memory_runs_out(tmp_path, detector):
    """No row is lost, and the smaller batch stays in use."""
    lake, shard, ids = lake_of(tmp_path / "lake", pictures(21))
    detector.batch_images, sizes = 16, []
    out_of_memory_above(detector, 3, sizes)
    counts = score_shard(lake, shard, ids, detector, run_id="r", n_workers=1)
    assert counts == ScoreCounts(scored=21)
    assert scores(lake)["image_id"].n_unique() == 21
    assert (max(sizes), detector.batch_images) == (2, 2)


def test_a_picture_that_never_fits_fails_and_is_tried_again_later(tmp_path, detector):
    """Lack of memory is a state of the machine, not of the image."""
    lake, shard, ids = lake_of(tmp_path / "lake", pictures(3))
    real = detector.forward
    out_of_memory_above(detector, 0, [])
    assert score_shard(lake, shard, ids, detector, run_id="r") == ScoreCounts(failed=3)
    assert scores(lake)["reason"].unique().to_list() == ["out_of_memory"]
    detector.forward = real
    assert score_shard(lake, shard, ids, detector, run_id="r") == ScoreCounts(scored=3)


def test_other_errors_of_the_network_stop_the_shard(tmp_path, detector):
    """A bug makes no row; threads end, and PyTorch gets its threads back."""
    lake, shard, ids = lake_of(tmp_path / "lake", pictures(8))
    before = torch.get_num_threads()

    def broken(_pixels):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    detector.forward = broken
    with pytest.raises(RuntimeError, match="mat1"):
        score_shard(lake, shard, ids, detector, run_id="r", n_workers=2)
    assert torch.get_num_threads() == before
    assert not [t for t in threading.enumerate() if t.name.startswith("assay-score")]
    assert scores(lake).is_empty()


def test_a_retry_after_a_partial_commit_loses_nothing(tmp_path, detector, monkeypatch):
    """The second attempt of a run commits the rows that the first one did not."""
    lake, shard, ids = lake_of(tmp_path / "lake", pictures(7))
    monkeypatch.setattr(commit_portions, "ROWS_A_COMMIT", 2)
    monkeypatch.setattr(detector, "batch_images", 2)
    done = 0

    def stop(n: int) -> None:
        nonlocal done
        done += n
        if done >= 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score_shard(lake, shard, ids, detector, run_id="r", n_workers=1, on_item=stop)
    assert scores(lake).height == 4
    counts = score_shard(lake, shard, ids, detector, run_id="r", n_workers=1)
    assert counts == ScoreCounts(scored=3, known=4)
    assert scores(lake)["image_id"].n_unique() == scores(lake).height == 7


def test_images_that_the_lake_does_not_have(tmp_path, detector):
    """Unknown ids are not pending and get no row."""
    lake, shard, ids = lake_of(tmp_path / "lake", pictures(1))
    (tmp_path / "lake" / shard).unlink()
    with pytest.raises(StoreError, match="missing"):
        score_shard(lake, shard, ids, detector, run_id="r")
    assert scores(lake).is_empty()


def test_few_pictures_are_held_at_once(detector):
    """Bytes are read on demand, whatever the length of the stream."""
    raws, drawn, done, most = pictures(2), 0, 0, 0

    def source():
        nonlocal drawn
        for index in range(120):
            drawn += 1
            yield str(index), raws[index % 2]

    for part in streaming.score_stream(detector, source(), n_workers=2):
        done += len(part)
        most = max(most, drawn - done)
    assert done == 120
    assert most <= 4 * 2 * detector.batch_images


def test_decoding_ahead_for_an_accelerator_gives_the_same(detector, monkeypatch):
    """The lane for accelerators, run on the CPU, gives the same order and logits."""
    items = [(str(i), raw) for i, raw in enumerate(pictures(7))]
    items[3] = ("3", b"no picture")
    expected = [s for part in streaming.score_stream(detector, items) for s in part]
    detector.batch_images = 4
    monkeypatch.setattr(detector.runner, "device", "elsewhere")
    found = [s for part in streaming.score_stream(detector, items, n_workers=3) for s in part]
    assert [s.image_id for s in found] == [str(i) for i in range(7)]
    assert found[3].reason is Reason.NOT_AN_IMAGE
    for a, b in zip(expected, found, strict=True):
        assert a.logit == (None if b.logit is None else pytest.approx(b.logit, abs=1e-3))


def test_bare_forward_is_a_rate(detector):
    """The rate is that of the network alone, in images per second."""
    assert bare_forward(detector, 8) > 0
