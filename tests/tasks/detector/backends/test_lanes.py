"""One lane per device: rows, order and scores are those of a single lane, whoever computes them."""

import functools
import itertools
import runpy
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import timm_tensors, write_timm

import assay
from assay.data.vocabulary import Reason
from assay.tasks.detector.backends import devices
from assay.tasks.detector.backends.devices import choose_devices
from assay.tasks.detector.backends.lanes import Lanes
from assay.tasks.detector.backends.make import make_backend
from assay.tasks.detector.backends.protocol import BATCHES_PER_LANE
from assay.tasks.detector.backends.pytorch import number_format
from assay.tasks.detector.backends.upload_buffer import UploadBuffer
from assay.tasks.detector.detector import Detector
from assay.tasks.detector.load import load_detector
from assay.tasks.detector.streaming import forward_stream
from assay.tasks.detector.weights.checkpoint import find_checkpoint

# A lane that waits for another one that never comes fails instead of hanging.
LIMIT_S = 60


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(write_timm(tmp_path_factory.mktemp("tiny"), timm_tensors()))


@pytest.fixture(scope="module")
def loaded(folder):
    return load_detector(folder, device="cpu", backend="torch")


class StandIn:
    """A device whose logit is the first value of an image; it notes how many batches it has."""

    def __init__(self, *, most_images: int = 1000, together: threading.Barrier | None = None):
        self.name, self.precision, self.device = "torch-standin", "fp32", "standin"
        self.batch_images, self.n_lanes = 4, 1
        self.sizes: list[int] = []
        self.most_at_once = self.n_freed = 0
        self._most_images, self._together = most_images, together
        self._inside = 0
        self._lock = threading.Lock()

    def run(self, images):
        """Wait for the other lanes in the first batches, and refuse batches that are too large."""
        with self._lock:
            self._inside += 1
            self.most_at_once = max(self.most_at_once, self._inside)
            self.sizes.append(len(images))
            waits = self._together is not None and len(self.sizes) <= BATCHES_PER_LANE
        try:
            if waits:
                self._together.wait(LIMIT_S)
            if len(images) > self._most_images:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
            logits = np.array([image[0, 0, 0] for image in images], np.float32)
            return logits, np.repeat(logits[:, None], 2, axis=1)
        finally:
            with self._lock:
                self._inside -= 1

    def free(self):
        """Count the calls."""
        self.n_freed += 1


def detector_of(loaded, lanes, batch_images: int = 4) -> Detector:
    runner = lanes[0] if len(lanes) == 1 else Lanes(lanes)
    detector = Detector(
        runner,
        identity=loaded.identity,
        architecture=loaded.architecture,
        build_module=lambda: loaded.module,
    )
    detector.batch_images = batch_images
    return detector


def prepared(shape, job):
    """Jobs divisible by 7 have a reason, those by 11 have no pixels."""
    if job % 7 == 3:
        return job, Reason.TRUNCATED
    return job, None if job % 11 == 5 else np.full(shape, job, np.float32)


def rows_of(detector, jobs, n_workers=3):
    prepare = functools.partial(prepared, detector.input_shape)
    parts = forward_stream(detector, jobs, prepare, n_workers=n_workers)
    return [
        (job, done[0] if isinstance(done, tuple) else done) for part in parts for job, done in part
    ]


def expected(n_jobs):
    values = (prepared((1,), job) for job in range(n_jobs))
    return [(job, float(v[0]) if isinstance(v, np.ndarray) else v) for job, v in values]


def threads():
    return [t for t in threading.enumerate() if t.name.startswith(("assay-decode", "assay-feed"))]


@settings(max_examples=40, deadline=None)
@given(
    n_jobs=st.integers(0, 40),
    n_lanes=st.integers(1, 5),
    batch=st.integers(1, 9),
    n_workers=st.integers(1, 4),
    most=st.integers(1, 9),
)
def test_any_number_of_lanes_gives_the_rows_of_one(loaded, n_jobs, n_lanes, batch, n_workers, most):
    """Every job comes back once, in order, with its own result, also where memory runs out."""
    lanes = [StandIn(most_images=most) for _ in range(n_lanes)]
    detector = detector_of(loaded, lanes, batch)
    assert rows_of(detector, range(n_jobs), n_workers) == expected(n_jobs)
    assert max((lane.most_at_once for lane in lanes), default=0) <= BATCHES_PER_LANE


def test_lanes_work_at_once(loaded):
    """The first batches of all lanes are in progress together: each waits for all the others."""
    together = threading.Barrier(3 * BATCHES_PER_LANE)
    lanes = [StandIn(together=together) for _ in range(3)]
    assert rows_of(detector_of(loaded, lanes), range(80)) == expected(80)
    assert {lane.most_at_once for lane in lanes} == {BATCHES_PER_LANE}


def test_a_lane_out_of_memory_halves_the_batch(loaded):
    """The batch is halved for all lanes, the lanes' memory is freed, and no row is lost."""
    lanes = [StandIn(most_images=3), StandIn(most_images=3)]
    detector = detector_of(loaded, lanes, 8)
    assert rows_of(detector, range(60)) == expected(60)
    assert detector.batch_images <= 3
    assert min(lane.n_freed for lane in lanes) > 0


def test_an_error_of_a_lane_stops_the_stream(loaded):
    """A bug of a network is raised to the caller, and no thread stays."""
    lanes = [StandIn(), StandIn()]

    def broken(_images):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    lanes[1].run = broken
    with pytest.raises(RuntimeError, match="mat1"):
        rows_of(detector_of(loaded, lanes), range(200))
    assert threads() == []


@pytest.mark.parametrize("n_lanes", [1, 3])
def test_few_jobs_are_held_at_once(loaded, n_lanes):
    """What is read ahead follows the batch and the lanes, not the length of the stream."""
    detector = detector_of(loaded, [StandIn() for _ in range(n_lanes)])
    drawn = done = most = 0

    def jobs():
        nonlocal drawn
        for job in range(600):
            drawn += 1
            yield job

    prepare = functools.partial(prepared, detector.input_shape)
    for part in forward_stream(detector, jobs(), prepare, n_workers=2):
        most = max(most, drawn - done)
        done += len(part)
    assert done == 600
    batches = 2 * BATCHES_PER_LANE * n_lanes + 1 + 2
    assert most <= batches * detector.batch_images + 2


def test_a_stopped_stream_leaves_no_threads(loaded):
    """Ctrl-C in the caller closes the stream with batches on every lane."""
    detector = detector_of(loaded, [StandIn(), StandIn()])
    prepare = functools.partial(prepared, detector.input_shape)
    stream = forward_stream(detector, itertools.count(), prepare, n_workers=2)
    next(stream)
    with pytest.raises(KeyboardInterrupt):
        stream.throw(KeyboardInterrupt())
    for thread in threads():
        thread.join(LIMIT_S)
    assert threads() == []


def test_a_kind_is_every_device_of_its_first_model(monkeypatch):
    """`auto` and a kind take all devices of one model, a number one of them."""
    counts = {"cuda": 4, "mps": 0, "xpu": 1, "tpu": 0, "cpu": 1}
    monkeypatch.setattr(devices, "_device_counts", lambda: counts)
    monkeypatch.setattr(devices, "_model_of", lambda _kind, index: "AABA"[index])
    all_of_one = tuple(torch.device("cuda", index) for index in (0, 1, 3))
    assert choose_devices("auto") == choose_devices("cuda") == all_of_one
    assert choose_devices("cuda:2") == (torch.device("cuda", 2),)
    assert choose_devices("xpu") == (torch.device("xpu"),)
    assert choose_devices("cpu") == (torch.device("cpu"),)


def test_each_lane_has_a_network_of_its_own(folder, monkeypatch):
    """Copies are equal and separate; torch-compile, which PyTorch limits, has one device."""
    cpu = torch.device("cpu")
    monkeypatch.setattr(devices, "choose_devices", lambda _name: (cpu, cpu))
    checkpoint = find_checkpoint(folder)
    runner = make_backend(checkpoint, "torch", "auto", "fp32")
    assert (runner.n_lanes, runner.name, runner.precision) == (2, "torch-cpu", "fp32")
    one, other = (dict(lane.module.named_parameters()) for lane in runner._lanes)
    for name in one:
        assert torch.equal(one[name], other[name])
        assert one[name].data_ptr() != other[name].data_ptr()
    assert make_backend(checkpoint, "torch-compile", "auto", "fp32").n_lanes == 1


def test_an_upload_buffer_is_allocated_once():
    """Batches of the same or smaller size use the same memory; rows without an image are zeros."""
    buffer = UploadBuffer(is_pinned=False)
    images = [np.full((3, 2, 2), value, np.float32) for value in (1, 2, 3)]
    full = buffer.filled(images, 3)
    assert full[:, 0, 0, 0].tolist() == [1, 2, 3]
    where = full.data_ptr()
    short = buffer.filled(np.stack(images[1:]), 3)
    assert short[:, 0, 0, 0].tolist() == [2, 3, 0]
    assert short.data_ptr() == buffer.filled(images[:1], 1).data_ptr() == where
    assert buffer.filled(images * 2, 6).shape == (6, 3, 2, 2)


def test_tf32_stays_off_until_the_last_lane_is_done(monkeypatch):
    """A lane that ends does not switch TF32 on under another one."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    cuda = torch.device("cuda")
    first, second = number_format(cuda, "fp32"), number_format(cuda, "fp32")
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert not torch.backends.cudnn.allow_tf32
    second.__exit__(None, None, None)
    assert torch.backends.cudnn.allow_tf32


def test_the_benchmark_of_lanes_runs_without_a_gpu(capsys):
    """On a CPU it compares the two ways of a batch, and says that there are no lanes."""
    script = Path(assay.__file__).parent / "benchmarks" / "on_gpu.py"
    runpy.run_path(str(script))["lanes"]("cpu", n=2)
    printed = capsys.readouterr().out
    assert "kept buffer" in printed
    assert "no lanes to compare" in printed
