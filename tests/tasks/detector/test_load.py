"""Loading by name: the named detector, with the scores of the libraries."""

import functools
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from factories import encoded, noise, photo
from PIL import Image
from tiny_models import TINY, VIT_S, hf_config, timm_tensors, write_hf, write_timm
from torchvision import transforms

from assay.data.errors import AssayError, ConfigError, ModelError, UntrustedWeights, WrongRevision
from assay.tasks.detector.inputs.preprocess import preprocess
from assay.tasks.detector.load import load_detector, load_on
from assay.tasks.detector.weights.checkpoint import chosen_profile, find_checkpoint
from assay.tasks.detector.weights.registry import MINI_FOLDER

TENSORS = timm_tensors()
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@functools.cache
def pictures() -> dict[str, bytes]:
    """Encode an image of each kind, at the first test that reads them."""
    return {
        "jpeg": encoded(photo(seed=1, size=(800, 600)), "JPEG", quality=85),
        "png": encoded(noise(seed=2, size=(460, 700)), "PNG"),
        "webp": encoded(photo(seed=3, size=(500, 500)), "WEBP"),
        "grey": encoded(photo(seed=4, size=(640, 450)).convert("L"), "JPEG"),
        "palette": encoded(photo(seed=5, size=(450, 460)).quantize(16), "PNG"),
        "cmyk": encoded(photo(seed=6, size=(900, 480)).convert("CMYK"), "JPEG"),
        "odd": encoded(noise(seed=7, size=(439, 441)), "PNG"),
        "narrow": encoded(noise(seed=8, size=(9, 60)), "PNG"),
    }


@pytest.fixture(scope="module")
def vit_s(tmp_path_factory):
    """Return the tensors and folders of a random ViT-S/16-384 in both layouts."""
    here, tensors = tmp_path_factory.mktemp("vit-s"), timm_tensors(VIT_S, seed=3)
    return (
        tensors,
        write_timm(here / "timm", tensors),
        write_hf(here / "hf", tensors, hf_config(VIT_S)),
    )


@pytest.fixture(scope="module")
def by_the_libraries(vit_s):
    """Return logits by timm's model on torchvision's pixels for `pictures`."""
    import timm

    chain = transforms.Compose(
        [
            transforms.Resize(440),
            transforms.CenterCrop(384),
            transforms.ToTensor(),
            transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )
    pixels = [chain(Image.open(io.BytesIO(raw)).convert("RGB")) for raw in pictures().values()]
    model = timm.create_model("vit_small_patch16_384.augreg_in21k_ft_in1k", num_classes=1).eval()
    names = {name.removeprefix("vit."): tensor for name, tensor in vit_s[0].items()}
    model.load_state_dict(names, strict=True)
    with torch.inference_mode():
        return model(torch.stack(pixels))[:, 0].numpy()


def test_scores_spread_enough_to_tell(by_the_libraries):
    """Logits differ by units between images, so that a wrong network would be noticed."""
    assert np.ptp(by_the_libraries) > 3


@pytest.fixture(scope="module")
def loaded(vit_s):
    """Return the detector of a layout on a backend, loaded once.

    The drift is not measured first: its scores are compared with the libraries' here.
    """
    folders = {"timm": vit_s[1], "hf": vit_s[2]}

    def load(layout, backend):
        checkpoint = find_checkpoint(str(folders[layout]))
        profile = chosen_profile(None, checkpoint)
        return load_on(checkpoint, profile, backend, "fp32", device="cpu")

    return functools.cache(load)


@pytest.mark.parametrize("backend", ["torch", "openvino"])
@pytest.mark.parametrize("layout", ["timm", "hf"])
def test_both_layouts_score_as_the_libraries_do(layout, backend, vit_s, loaded, by_the_libraries):
    """Logits of every kind of image are within 1e-3 of timm and torchvision."""
    detector = loaded(layout, backend)
    pixels = np.stack([preprocess(raw, detector.profile) for raw in pictures().values()])
    logits, embeddings = detector.forward(pixels)
    np.testing.assert_allclose(logits, by_the_libraries, atol=1e-3)
    assert embeddings.shape == (len(pictures()), 384)
    head = vit_s[0]["vit.head.weight"][0].numpy()
    np.testing.assert_allclose(
        embeddings @ head + vit_s[0]["vit.head.bias"].numpy(), logits, atol=1e-3
    )


def test_transformers_reads_the_same_network(vit_s, loaded):
    """`from_pretrained` on the folder gives the logits of both backends."""
    from transformers import ViTForImageClassification

    model = ViTForImageClassification.from_pretrained(vit_s[2], use_safetensors=True).eval()
    pixels = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 3, 384, 384))).float()
    with torch.inference_mode():
        theirs = model(pixels).logits[:, 0].numpy()
    for backend in ("torch", "openvino"):
        ours = loaded("hf", backend).forward(pixels.numpy())[0]
        np.testing.assert_allclose(ours, theirs, atol=1e-3)


def test_what_transformers_saves_today_loads_too(tmp_path):
    """Tensor names of several versions of transformers have the same roles."""
    from transformers import ViTConfig, ViTForImageClassification

    torch.manual_seed(0)
    keys = {k: v for k, v in hf_config().items() if k not in {"architectures", "model_type"}}
    model = ViTForImageClassification(ViTConfig(**keys)).eval()
    model.save_pretrained(tmp_path)
    pixels = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        theirs = model(pixels).logits[:, 0].numpy()
    logits, _ = load_detector(str(tmp_path), positive="fake").forward(pixels.numpy())
    np.testing.assert_allclose(logits, theirs, atol=1e-4)


def test_epsilon_and_heads_reach_the_network(tmp_path):
    """Configs with an epsilon of 1e-3 and of 1e-6 give different scores."""
    pixels = np.random.default_rng(0).standard_normal((4, 3, 64, 64), dtype=np.float32)
    logits = []
    for eps in (1e-6, 1e-3):
        folder = write_hf(tmp_path / f"{eps}", TENSORS, hf_config(layer_norm_eps=eps))
        detector = load_detector(str(folder))
        assert {m.eps for m in detector.module.modules() if isinstance(m, torch.nn.LayerNorm)} == {
            eps
        }
        logits.append(detector.forward(pixels)[0])
    assert np.abs(logits[0] - logits[1]).max() > 1e-4


def test_names_and_hashes_of_a_folder(tmp_path):
    """The id of a folder has its name and its weights' hash."""
    folder = write_timm(tmp_path / "mine", TENSORS)
    detector = load_detector(str(folder), device="cpu", backend="openvino")
    assert detector.detector_id == f"mine@sha256:{detector.weights_sha256[:12]}"
    assert (detector.backend, detector.precision) == ("openvino-cpu", "fp32")
    assert (detector.embedding_dim, detector.profile.crop_px) == (192, 64)


def test_the_embedded_detector_and_a_copy_of_it(tmp_path):
    """Weights are recognised by their hash in any folder."""
    detector = load_detector("mini")
    assert detector.detector_id == f"mini@{detector.weights_sha256[:12]}"
    for name in ("config.json", "model.safetensors"):
        shutil.copy(MINI_FOLDER / name, tmp_path / name)
    copy = find_checkpoint(str(tmp_path))
    assert (copy.detector_id, copy.positive) == (detector.detector_id, "fake")
    assert not any(p.requires_grad for p in detector.module.parameters())
    assert not detector.module.training


def test_direction_is_stated_or_refused(tmp_path):
    """A detector whose direction nobody states is refused, with how to state it."""
    folder = write_hf(tmp_path, TENSORS, hf_config(id2label={"0": "fake"}), positive=None)
    with pytest.raises(ModelError, match=r'positive = "fake".*--positive fake'):
        load_detector(str(folder))
    assert find_checkpoint(str(folder), positive="fake").positive == "fake"
    with pytest.raises(ConfigError, match="choose fake or real"):
        load_detector(str(folder), positive="ai")


def test_a_detector_of_real_pictures_is_turned_round(tmp_path):
    """`positive = "real"` flips the logit, and its scores have another name."""
    pixels = np.random.default_rng(0).standard_normal((3, 3, 64, 64), dtype=np.float32)
    fake = load_detector(str(write_timm(tmp_path / "a", TENSORS)))
    real = load_detector(str(write_timm(tmp_path / "b" / "a", TENSORS, positive="real")))
    np.testing.assert_array_equal(fake.forward(pixels)[0], -real.forward(pixels)[0])
    assert real.detector_id == f"{fake.detector_id}+positive=real"
    with pytest.raises(ConfigError, match="known to be 'real'"):
        load_detector(str(tmp_path / "b" / "a"), positive="fake")


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"name": "community"}, ConfigError, "community-forensics, commfor-384, commfor-224, mini"),
        ({"name": "./nowhere"}, ModelError, "no folder ./nowhere"),
        ({"name": "org/name"}, WrongRevision, "no revision"),
        ({"name": "mini", "profile": "clip"}, ConfigError, "authors-imagenet, hf-clip"),
        ({"name": "mini", "device": "quantum"}, ConfigError, "allowed: auto, cuda, mps"),
        ({"name": "mini", "precision": "int4"}, ConfigError, "fp32, bf16, fp16, int8"),
        ({"name": "mini", "precision": "int8"}, ModelError, "no int8 weights.* models quantise"),
        ({"name": "mini", "backend": "onnx"}, ConfigError, "auto or one of torch, torch-compile"),
        (
            {"name": "mini", "backend": "torch", "precision": "int8"},
            ConfigError,
            "cannot run int8 on cpu; backends that can: openvino",
        ),
        ({"name": "mini", "positive": "real"}, ConfigError, "known to be 'fake'"),
    ],
)
def test_wrong_arguments(arguments, error, said):
    """Each error names the argument and the allowed values."""
    with pytest.raises(error, match=said):
        load_detector(**arguments)


def test_an_empty_folder(tmp_path):
    """An empty folder has another error than one with the wrong kind of file."""
    with pytest.raises(ModelError, match="has nothing"):
        load_detector(str(tmp_path))


def test_shapes_and_empty_batches(tmp_path):
    """No images give no logits, and a wrong side is refused."""
    detector = load_detector(str(write_timm(tmp_path, TENSORS)))
    logits, embeddings = detector.forward(np.empty((0, 3, 64, 64), np.float32))
    assert (logits.shape, embeddings.shape) == ((0,), (0, 192))
    with pytest.raises(ValueError, match="expected"):
        detector.forward(np.empty((1, 3, 32, 64), np.float32))


def test_gradients_reach_the_pixels_on_request(tmp_path):
    """`network` keeps gradients for attacks; scoring keeps none."""
    detector = load_detector(str(write_timm(tmp_path, TENSORS)))
    pixels = torch.randn(1, 3, 64, 64, requires_grad=True)
    logits, _ = detector.network(pixels)
    logits.sum().backward()
    assert float(pixels.grad.abs().max()) > 0


# The hub.


def hub_cache(root: Path, repo: str, revision: str, folder: Path) -> Path:
    """Return a cache in huggingface_hub's layout with the files of `folder`."""
    snapshot = root / f"models--{repo.replace('/', '--')}" / "snapshots" / revision
    snapshot.mkdir(parents=True)
    for file in folder.glob("*.[js]*"):
        shutil.copy(file, snapshot / file.name)
    return root


def test_from_the_hub_cache_without_a_network(tmp_path, monkeypatch):
    """The files in the cache at that commit are used."""
    folder = write_hf(tmp_path / "f", TENSORS, hf_config(TINY), positive=None)
    cache = hub_cache(tmp_path / "cache", "org/vit", COMMIT, folder)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    detector = load_detector(f"org/vit@{COMMIT}", positive="fake", cache_dir=cache)
    assert detector.detector_id == f"org/vit@{COMMIT}"
    monkeypatch.setenv("HF_HUB_CACHE", str(cache))
    assert (
        find_checkpoint(f"org/vit@{COMMIT}", positive="fake").architecture.layout == "transformers"
    )


def test_weights_in_the_cache_that_are_not_the_registered_ones(tmp_path):
    """A cached file with another hash than the registered one is refused."""
    folder = write_timm(tmp_path / "f", TENSORS)
    revision = "6076002bf0d9dd37537f965ee2f06f826c333b61"
    cache = hub_cache(tmp_path / "cache", "OwensLab/commfor-model-384", revision, folder)
    for name in ("commfor-384", f"OwensLab/commfor-model-384@{revision}"):
        with pytest.raises(UntrustedWeights, match="pinned is b89f36275f3b"):
            load_detector(name, cache_dir=cache)


def test_offline_and_not_in_the_cache(tmp_path, monkeypatch):
    """The message says what was tried and what to do; nothing else is loaded."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelError, match=r"not in the cache.*HF_HUB_OFFLINE.*folder") as caught:
        load_detector("community-forensics", cache_dir=tmp_path)
    assert caught.value.exit_code == 5


ANSWERS = {
    "gated": ("403 Forbidden", {"X-Error-Code": "GatedRepo"}, ModelError, "is gated"),
    "private": (
        "401 Unauthorized",
        {"X-Error-Code": "RepoNotFound"},
        ModelError,
        "or it is private",
    ),
    "no-commit": (
        "404 Not Found",
        {"X-Error-Code": "RevisionNotFound"},
        WrongRevision,
        "no commit",
    ),
    "no-file": (
        "404 Not Found",
        {"X-Error-Code": "EntryNotFound"},
        UntrustedWeights,
        "no model.saf",
    ),
    "down": ("503 Service Unavailable", {}, ModelError, "cannot be fetched"),
}

PROBE = """
import json, sys, time
from assay.data.errors import AssayError
from assay.tasks.detector.weights.checkpoint import find_checkpoint
said = []
for name in sys.argv[2:]:
    started_s = time.perf_counter()
    try:
        find_checkpoint(name, positive="fake", cache_dir=sys.argv[1])
    except AssayError as error:
        said.append((f"{type(error).__name__} {error}", time.perf_counter() - started_s))
print(json.dumps(said))
"""


def hub_says(endpoint: str, cache: Path, *repos: str) -> list[tuple[str, float]]:
    """Return the message of loading each from a hub at this address, and its duration in seconds.

    One process asks for all of them: the hub's library reads its address when it is imported.
    """
    keep = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
    done = subprocess.run(
        [sys.executable, "-c", PROBE, str(cache), *(f"{repo}@{COMMIT}" for repo in repos)],
        env=keep | {"HF_ENDPOINT": endpoint, "HF_HOME": str(cache), "NO_PROXY": "*"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == ""
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def hub_answers(tmp_path_factory):
    """Return what is said of a repository of each kind of answer, and after how many seconds."""
    import http.server
    import threading

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            status, headers, *_ = ANSWERS[self.path.split("/")[2]]
            code, _, text = status.partition(" ")
            self.send_response(int(code), text)
            for key, value in headers.items():
                self.send_header(key, value)
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        said = hub_says(
            f"http://127.0.0.1:{server.server_port}",
            tmp_path_factory.mktemp("hub"),
            *(f"org/{case}" for case in ANSWERS),
        )
        server.shutdown()
    return dict(zip(ANSWERS, said, strict=True))


@pytest.mark.parametrize("case", ANSWERS)
def test_what_the_hub_may_answer(case, hub_answers):
    """Gated, private, unknown commit, missing file and outage each have advice, at once."""
    _, _, error, said = ANSWERS[case]
    text, seconds = hub_answers[case]
    assert text.startswith(error.__name__)
    assert f"org/{case}" in text
    assert said in text
    assert seconds < 10


def test_no_network_is_said_at_once(tmp_path):
    """An address that does not resolve is reported without a minute of retries."""
    ((text, seconds),) = hub_says("http://hub.invalid", tmp_path, "org/vit")
    assert text.startswith("ModelError model.safetensors of org/vit@")
    assert "connect this machine" in text
    assert seconds < 10


def test_checks_need_no_model_library():
    """A checkpoint is checked before torch is imported."""
    code = (
        "import sys\n"
        "from assay.tasks.detector.weights.checkpoint import find_checkpoint\n"
        "find_checkpoint('mini')\n"
        "print({'torch', 'transformers', 'timm', 'huggingface_hub'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_every_refusal_is_a_model_or_a_usage_error(tmp_path):
    """Any content of a folder gives exit code 5 or 2 only."""
    write_timm(tmp_path, TENSORS)
    for garbage in (b"[]", b"{", b"\xff\xfe", json.dumps({"num_heads": 12}).encode()):
        (tmp_path / "config.json").write_bytes(garbage)
        with pytest.raises(AssayError) as caught:
            find_checkpoint(str(tmp_path))
        assert caught.value.exit_code == 5
