"""Networks on a device that is not the CPU: generators, attacks, scores, training.

On every machine on a pretended accelerator, see `pretend_device`: what it lacks are memory, speed
and an arithmetic of its own. Where there is a GPU, the same on it.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

DEVICES = ["pretend", *(["cuda"] if torch.cuda.is_available() else [])]

pytestmark = pytest.mark.xdist_group("pretended device")  # one process makes them all


@pytest.fixture(scope="module", params=DEVICES)
def told(tmp_path_factory, request):
    here = Path(__file__).parent
    done = subprocess.run(
        [
            sys.executable,
            here / "made_on_device.py",
            request.param,
            tmp_path_factory.mktemp("made"),
        ],
        cwd=here,
        env={**os.environ, "PYTHONPATH": str(here.parent / "synth")},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_other_device_is_no_cpu(told):
    """Its tensors and the CPU's cannot be added, and numpy does not see them."""
    assert told["walled off"]


def limit(told) -> float:
    """Mean difference in levels: a real device rounds in its own way."""
    return 0.01 if told["device"] == "pretend" else 0.1


@pytest.mark.parametrize("ask", ["text", "image-to-image", "inpaint", "control"])
def test_a_device_makes_the_pictures_that_the_cpu_makes(told, ask):
    """Images in fp32 are equal; a tensor on the wrong device would raise."""
    assert told["whole"][ask] < limit(told)
    assert told["whole"]["at rest on"] == [f"{told['device']}:0"]


@pytest.mark.parametrize("ask", ["text", "image-to-image", "inpaint", "control"])
def test_parts_that_take_turns_make_the_same_pictures(told, ask):
    """Parts leave the device in turns; at most the autoencoder stays on it."""
    assert told["in turns"][ask] < limit(told)


def test_adapters_come_along_to_the_device(told):
    """Adapters are loaded before the parts move to the device."""
    assert told["adapted"]["text"] < limit(told)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("ask", ["text", "image-to-image", "inpaint"])
def test_half_formats_run_on_a_device(told, precision, ask):
    """Images are within rounding of the CPU's in that format, or in fp32 under `auto`."""
    assert told[precision][ask] < 2


@pytest.mark.parametrize("method", ["aligned", "attack", "latent-attack", "score"])
def test_what_goes_through_networks_on_a_device_comes_back_the_same(told, method):
    """Reconstructions, scores and attacks equal the CPU's, gradients included."""
    if method == "latent-attack" and told["device"] != "pretend":
        pytest.skip("its steps follow signs of gradients, which rounding turns")
    assert told["through networks"][method] < limit(told)


def test_all_devices_score_at_once_as_the_cpu_does(told):
    """Results are in order and equal, under the same key, and no row tells the lane."""
    lanes, device = told["lanes"], told["device"]
    assert lanes["devices"][0] == f"{device}:0"
    assert device != "pretend" or lanes["devices"] == ["pretend:0", "pretend:1"]
    assert lanes["in order"]
    assert lanes["same key"]
    assert lanes["same images"]
    assert (lanes["scored"], lanes["moderated"]) == (20, 20)
    assert lanes["made by"] == [f"torch-{device}"]
    assert max(lanes["apart"], lanes["apart in the lake"]) < 1e-3


def test_an_adapter_learns_on_a_device_as_on_the_cpu(told):
    """The losses are equal step by step, with activations checkpointed."""
    assert told["losses"][told["device"]] == pytest.approx(told["losses"]["cpu"], rel=1e-4)
