"""The OpenVINO graph equals the libraries' network, and many threads may use it at once."""

import gc
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch
from processes import PROCESSES
from tiny_models import TINY, hf_config, timm_tensors, write_hf, write_timm

from assay.data.errors import UntrustedWeights
from assay.tasks.detector.backends.make import make_backend
from assay.tasks.detector.backends.openvino_graph import build_model, openvino_core
from assay.tasks.detector.weights.checkpoint import find_checkpoint

TENSORS = timm_tensors(seed=11)
PIXELS = np.random.default_rng(1).standard_normal((3, 3, 64, 64), dtype=np.float32)


@pytest.fixture(scope="module", params=["timm", "hf"])
def checkpoint(request, tmp_path_factory):
    here = tmp_path_factory.mktemp(request.param)
    if request.param == "timm":
        return find_checkpoint(str(write_timm(here / "m", TENSORS)))
    return find_checkpoint(str(write_hf(here / "m", TENSORS, hf_config())))


@pytest.fixture(scope="module")
def by_timm():
    """Return logits, class tokens and all tokens after the final norm by timm."""
    from timm.models.vision_transformer import VisionTransformer

    model = VisionTransformer(
        img_size=TINY.image_px,
        patch_size=TINY.patch_px,
        embed_dim=TINY.width,
        depth=TINY.depth,
        num_heads=TINY.heads,
        num_classes=1,
    ).eval()
    model.load_state_dict({name.removeprefix("vit."): value for name, value in TENSORS.items()})
    with torch.inference_mode():
        pixels = torch.from_numpy(PIXELS)
        tokens = model.forward_features(pixels)
        return model(pixels)[:, 0].numpy(), tokens[:, 0].numpy(), tokens.numpy()


@pytest.fixture(scope="module")
def by_transformers(tmp_path_factory):
    """Return the same by transformers, which reads a folder of the hub's layout."""
    from transformers import ViTForImageClassification

    folder = write_hf(tmp_path_factory.mktemp("hub") / "m", TENSORS, hf_config(num_labels=1))
    model = ViTForImageClassification.from_pretrained(folder).eval()
    with torch.inference_mode():
        pixels = torch.from_numpy(PIXELS)
        tokens = model.vit(pixels).last_hidden_state
        return model(pixels).logits[:, 0].numpy(), tokens[:, 0].numpy(), tokens.numpy()


def run(checkpoint, *, tokens: bool, pixels=PIXELS):
    graph = build_model(
        checkpoint.raw_weights, checkpoint.architecture, checkpoint.name, tokens=tokens
    )
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino_core().compile_model(graph, "CPU", settings)
    return compiled([pixels])


@pytest.mark.parametrize("tokens", [False, True])
@pytest.mark.parametrize("library", ["by_timm", "by_transformers"])
def test_the_graph_is_the_libraries_network(checkpoint, library, tokens, request):
    """Logits, embeddings and tokens of a batch of three equal the library's."""
    logits, embeddings, all_tokens = request.getfixturevalue(library)
    assert np.ptp(logits) > 0.5
    found = run(checkpoint, tokens=tokens)
    np.testing.assert_allclose(found["logits"], logits, atol=1e-4)
    np.testing.assert_allclose(found["embeddings"], embeddings, atol=1e-4)
    if tokens:
        np.testing.assert_allclose(found["tokens"], all_tokens, atol=1e-4)
    else:
        assert len(found) == 2


def test_a_batch_is_its_pictures(checkpoint):
    """The score of an image does not depend on its neighbours."""
    together = run(checkpoint, tokens=False)["logits"]
    alone = [run(checkpoint, tokens=False, pixels=one[None])["logits"][0] for one in PIXELS]
    np.testing.assert_allclose(together, alone, atol=1e-5)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(tmp_path, bad):
    """The error names the tensor."""
    tensors = {name: value.clone() for name, value in TENSORS.items()}
    tensors["vit.blocks.1.mlp.fc1.weight"][3, 5] = bad
    found = find_checkpoint(str(write_timm(tmp_path / "m", tensors)))
    with pytest.raises(UntrustedWeights, match=r"blocks\.1\.mlp\.fc1\.weight holds NaN"):
        build_model(found.raw_weights, found.architecture, found.name)


FIRST_USE = """
import sys, threading
import numpy as np
from assay.tasks.detector.backends.make import make_backend
from assay.tasks.detector.weights.checkpoint import find_checkpoint
runner = make_backend(find_checkpoint(sys.argv[1]), "openvino", "cpu", "fp32")
sys.setswitchinterval(1e-6)  # a race that is rare otherwise
ready = threading.Barrier(4)
def work():
    runner._mine.request = runner._compiled.create_infer_request()
    ready.wait()
    runner.run(np.zeros((1, 3, 64, 64), np.float32))
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


@pytest.mark.parametrize("attempt", range(3))
def test_first_passes_of_a_process_may_be_several_at_once(tmp_path, attempt):
    """Threads may run the first pass at once, although the library itself deadlocks there."""
    folder = write_timm(tmp_path / "m", TENSORS)
    command = [sys.executable, "-c", FIRST_USE, str(folder)]
    subprocess.run(command, check=True, timeout=60, capture_output=True)


def signalled_after_detectors(folder):
    """Drop two detectors in a child, the older one first and on a thread, then send Ctrl-C."""
    made = [make_backend(find_checkpoint(folder), "openvino", "cpu", "fp32") for _ in range(2)]
    for _ in range(2):
        dropping = threading.Thread(target=made.pop, args=(0,))
        dropping.start()
        dropping.join()
    gc.collect()
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        os._exit(130)


@pytest.mark.xdist_group("forked")
def test_a_signal_after_the_last_detector_is_gone_is_an_exception(tmp_path):
    """Ctrl-C raises KeyboardInterrupt after detectors were dropped in any order."""
    folder = str(write_timm(tmp_path / "m", TENSORS))
    child = PROCESSES.Process(target=signalled_after_detectors, args=(folder,))
    child.start()
    child.join(timeout=60)
    assert child.exitcode == 130
