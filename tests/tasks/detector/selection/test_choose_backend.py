"""Choice of the backend: the fastest within its limit, measured once per machine."""

import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from tiny_models import timm_tensors, write_timm

from assay.data.cache import cache_folder
from assay.data.errors import ConfigError, GateRefused
from assay.tasks.detector.load import load_detector
from assay.tasks.detector.selection import choose_backend
from assay.tasks.detector.selection.choose_backend import candidates, choose, drawn_pixels
from assay.tasks.detector.selection.drift import Drift
from assay.tasks.detector.selection.measurements import (
    Measured,
    drift_allowance,
    keep_measured,
    now,
    read_measured,
)


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))


def fake(name: str, precision: str, *, off_by: float) -> SimpleNamespace:
    """Return a detector whose logits are off by a constant."""
    return SimpleNamespace(
        backend=f"{name}-cpu",
        precision=precision,
        input_shape=(3, 16, 16),
        batch_images=1,
        why="",
        forward=lambda pixels: (pixels.mean(axis=(1, 2, 3)) + np.float32(off_by), None),
    )


def chosen(monkeypatch, rates, drifts, *, names=("openvino", "torch"), precision="fp32", **more):
    """Return what `choose` takes of detectors with these rates and drifts, and all loads."""
    made: list[str] = []
    monkeypatch.setattr(choose_backend, "rate", lambda d: rates[d.backend.removesuffix("-cpu")])

    def make(name, number_format):
        made.append(f"{name} {number_format}")
        off_by = drifts.get(name, 0.0) if number_format == precision else 0.0
        return fake(name, number_format, off_by=off_by)

    found = choose(
        make,
        names,
        precision=precision,
        label=precision,
        kind="cpu",
        weights_sha256="a" * 64,
        **more,
    )
    return found, made


@pytest.mark.parametrize(("fast", "slow"), [("openvino", "torch"), ("torch", "openvino")])
def test_the_fastest_is_taken_and_says_why(monkeypatch, fast, slow):
    """The fastest backend within the limit is chosen."""
    found, _ = chosen(monkeypatch, {fast: 9.0, slow: 6.5}, {})
    assert found.backend == f"{fast}-cpu"
    assert f"9.0 images/s against 6.5 of {slow}-cpu" in found.why


def test_a_drifting_one_is_not_taken_however_fast(monkeypatch):
    """A drift of 2e-3 logits is twice the limit of fp32."""
    found, _ = chosen(monkeypatch, {"openvino": 90.0, "torch": 6.5}, {"openvino": 2e-3})
    assert found.backend == "torch-cpu"


def test_nothing_within_the_limit_is_refused_unless_forced(monkeypatch):
    """The refusal names the drifts and --force-drift."""
    rates, drifts = {"openvino": 9.0, "torch": 6.5}, {"openvino": 0.3}
    with pytest.raises(GateRefused, match=r"0\.3 at the 99th percentile.*--force-drift") as caught:
        chosen(monkeypatch, rates, drifts, names=("openvino",), precision="bf16")
    assert caught.value.exit_code == 6
    found, _ = chosen(monkeypatch, rates, drifts, names=("openvino",), precision="bf16", force=True)
    assert found.why.endswith("over the limit of 0.25: forced")


def test_it_is_measured_once(monkeypatch):
    """The second call does not even load the reference."""
    rates = {"openvino": 9.0, "torch": 6.5}
    _, first = chosen(monkeypatch, rates, {})
    assert sorted(first) == ["openvino fp32", "torch fp32"]
    found, second = chosen(monkeypatch, rates, {})
    assert (found.backend, second) == ("openvino-cpu", ["openvino fp32"])


def test_a_damaged_record_is_measured_again(monkeypatch):
    """A damaged cache file is replaced."""
    rates = {"openvino": 9.0, "torch": 6.5}
    chosen(monkeypatch, rates, {})
    (file,) = cache_folder("measured").glob("*.json")
    file.write_text(json.dumps([{"backend": 1}]))
    _, made = chosen(monkeypatch, rates, {})
    assert len(made) == 2


def test_a_cache_that_cannot_be_written_stops_nothing(monkeypatch, tmp_path):
    """The next call measures again."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "file"))
    found, _ = chosen(monkeypatch, {"openvino": 9.0, "torch": 6.5}, {})
    assert found.backend == "openvino-cpu"


def test_what_decisions_allow_for():
    """The allowance is 0 in fp32, elsewhere the worst kept percentile, and None if not measured."""
    for backend, p99 in (("openvino-cpu", 0.1), ("torch-cpu", 0.2)):
        drift = Drift(n_images=9, mean=0.0, p99=p99, max=1.0)
        one = Measured(
            backend=backend,
            precision="bf16",
            images_per_second=1.0,
            drift=drift,
            pictures="9 pictures",
            measured_at=now(),
        )
        keep_measured("b" * 64, one)
    assert len(read_measured("b" * 64)) == 2
    assert drift_allowance("b" * 64, "bf16") == 0.2
    assert drift_allowance("b" * 64, "fp32") == 0.0
    assert drift_allowance("c" * 64, "bf16") is None


def test_candidates():
    """The compiler is opt-in, and int8 runs with OpenVINO only."""
    assert candidates("auto", "fp32", "cpu") == ("openvino", "torch")
    assert candidates("auto", "fp32", "cuda") == ("torch",)
    assert candidates("torch-compile", "fp32", "cuda") == ("torch-compile",)
    assert candidates("auto", "int8", "cpu") == ("openvino",)
    with pytest.raises(ConfigError, match="cannot run fp32 on cuda"):
        candidates("openvino", "fp32", "cuda")


def test_drawn_pictures_are_always_the_same():
    """Kept measurements stay valid, since the images never change."""
    np.testing.assert_array_equal(drawn_pixels((3, 30, 30)), drawn_pixels((3, 30, 30)))
    assert drawn_pixels((3, 30, 30)).shape == (8, 3, 30, 30)


def test_auto_on_a_real_checkpoint_needs_pytorch_once(tmp_path):
    """The first load measures with PyTorch; later ones load without it."""
    folder = write_timm(tmp_path / "m", timm_tensors())
    assert "images/s" in load_detector(str(folder), device="cpu").why
    code = (
        "import sys; from assay.tasks.detector.load import load_detector as l;"
        f"d = l({str(folder)!r}, device='cpu'); print(d.backend, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    backend, has_torch = done.stdout.split()
    assert has_torch == str(backend == "torch-cpu")


def test_openvino_reports_nothing_to_its_maker(tmp_path):
    """OpenVINO's telemetry package, which sends a client id at import, is never imported."""
    code = (
        "import sys; from assay.tasks.detector.backends.openvino_graph import quiet_openvino;"
        "quiet_openvino().Core(); print(sys.modules.get('openvino_telemetry'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"HOME": str(tmp_path), "PATH": "/usr/bin"},
    )
    assert done.stdout.strip() == "None"
    assert not (tmp_path / "intel").exists()
