"""A classifier of timm or transformers with a card scores as its library does."""

import io
import json
from functools import partial

import numpy as np
import pytest
import torch
from factories import encoded, noise, photo
from library_folders import card_text, timm_folder, transformers_folder
from PIL import Image
from tiny_models import timm_tensors, write_timm

from assay.data.errors import ConfigError, GateRefused, ModelError, UntrustedWeights
from assay.tasks.detector.backends.pytorch import TorchBackend
from assay.tasks.detector.differentiable import differentiable
from assay.tasks.detector.inputs.preprocess import preprocess
from assay.tasks.detector.load import identify, load_detector
from assay.tasks.detector.weights.checkpoint import find_checkpoint

PICTURES = [
    encoded(photo(seed=1, size=(400, 300)), "JPEG", quality=85),
    encoded(noise(seed=2, size=(170, 260)), "PNG"),
    encoded(photo(seed=3, size=(90, 70)), "PNG"),
    encoded(photo(seed=4, size=(333, 512)), "WEBP"),
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Return one network of each kind, made once."""
    here = tmp_path_factory.mktemp("networks")
    return {
        "timm resnet": timm_folder(here / "tr", "test_resnet"),
        "timm convnext": timm_folder(here / "tc", "test_convnext", fake_index=1),
        "resnet": transformers_folder(here / "hr", "ResNet", fake_index=1),
        "convnext": transformers_folder(here / "hc", "ConvNext", fake_index=0),
        "swin": transformers_folder(here / "hs", "Swin"),
    }


def by_the_library(made):
    """Return logits and pooled features of the library's network on its own preprocessing."""
    images = [Image.open(io.BytesIO(raw)).convert("RGB") for raw in PICTURES]
    pixels = torch.stack([made.chain(image) for image in images])
    network = made.network
    with torch.inference_mode():
        if hasattr(network, "forward_head"):
            features = network.forward_head(network.forward_features(pixels), pre_logits=True)
            return made.logit(network(pixels)).numpy(), features.numpy()
        pooled = network.base_model(pixels).pooler_output
        return made.logit(network(pixels).logits).numpy(), pooled.flatten(1).numpy()


@pytest.mark.parametrize("kind", ["timm resnet", "timm convnext", "resnet", "convnext", "swin"])
def test_scores_and_embeddings_are_the_librarys(kind, folders):
    """Logits and pooled features equal the library's, for one logit and for two classes."""
    made = folders[kind]
    logits, features = by_the_library(made)
    assert np.ptp(logits) > 0.05
    detector = load_detector(str(made.folder), device="cpu")
    found = detector.forward(np.stack([preprocess(raw, detector.profile) for raw in PICTURES]))
    np.testing.assert_allclose(found[0], logits, atol=1e-4)
    np.testing.assert_allclose(found[1], features, atol=1e-4)
    assert detector.embedding_dim == features.shape[1]
    assert detector.backend == "torch-cpu"
    assert detector.key == identify(str(made.folder)).key


def test_a_network_in_several_threads_gives_the_same(folders):
    """Threads share no state, so concurrent passes give the same features."""
    from concurrent.futures import ThreadPoolExecutor

    detector = load_detector(str(folders["resnet"].folder), device="cpu")
    pixels = [preprocess(raw, detector.profile)[None] for raw in PICTURES] * 8
    expected = [detector.forward(one)[1] for one in pixels]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda one: detector.forward(one)[1], pixels))
    np.testing.assert_allclose(np.concatenate(found), np.concatenate(expected), atol=1e-5)


@pytest.mark.parametrize("kind", ["timm convnext", "swin", "vit"])
def test_compiled_networks_score_as_the_reference(kind, folders, tmp_path, monkeypatch):
    """A compiled network scores alike; the code generator is left out, since it takes a minute."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    folder = write_timm(tmp_path, timm_tensors()) if kind == "vit" else folders[kind].folder
    reference = load_detector(str(folder), device="cpu", backend="torch")
    compiled = load_detector(str(folder), device="cpu", backend="torch-compile")
    assert compiled.backend == "torch-compile-cpu"
    pixels = np.stack([preprocess(raw, reference.profile) for raw in PICTURES[:3]])
    for ours, theirs in zip(compiled.forward(pixels), reference.forward(pixels), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_gradients_reach_the_pixels(folders):
    """The differentiable function gives the same logit, up to the rounding of the resize."""
    detector = load_detector(str(folders["timm resnet"].folder), device="cpu")
    image = Image.open(io.BytesIO(PICTURES[0])).convert("RGB")
    pixels = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)[None] / 255
    pixels.requires_grad_()
    logits = differentiable(detector)(pixels)
    scored = detector.forward(preprocess(PICTURES[0], detector.profile)[None])[0]
    assert logits.item() == pytest.approx(float(scored[0]), abs=0.05)
    logits.sum().backward()
    assert pixels.grad.abs().max() > 0


def test_a_pinned_hash_is_held_against_the_file(folders, tmp_path):
    """64 digits on the card pin the weights; without them they are called unverified."""
    made = folders["timm resnet"]
    assert find_checkpoint(str(made.folder)).is_pinned
    assert not find_checkpoint(str(folders["swin"].folder)).is_pinned
    other = tmp_path / "other"
    other.mkdir()
    for file in made.folder.iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    raw = bytearray((other / "model.safetensors").read_bytes())
    raw[-1] ^= 1
    (other / "model.safetensors").write_bytes(raw)
    with pytest.raises(UntrustedWeights, match="pinned is"):
        find_checkpoint(str(other))


def test_a_card_may_name_the_architecture_of_timm(folders, tmp_path):
    """No config.json is needed then; one that names another architecture is refused."""
    made = folders["timm resnet"]
    card = card_text("tiny", "timm", 160, resize_px=168, interpolation="bicubic")
    (tmp_path / "model.safetensors").write_bytes((made.folder / "model.safetensors").read_bytes())
    (tmp_path / "detector.toml").write_text('architecture = "test_resnet"\n' + card)
    pixels = np.zeros((1, 3, 160, 160), np.float32)
    logits = load_detector(str(tmp_path), device="cpu").forward(pixels)[0]
    expected = load_detector(str(made.folder), device="cpu").forward(pixels)[0]
    np.testing.assert_allclose(logits, expected, atol=1e-5)
    (tmp_path / "config.json").write_text('{"architecture": "test_vit"}')
    with pytest.raises(ModelError, match="correct whichever is wrong"):
        find_checkpoint(str(tmp_path))


def test_the_id_says_which_class_was_the_fake_one(folders, tmp_path):
    """Another fake_index gives another id, with the same weights and profile."""
    made = folders["resnet"]
    for file in made.folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    card = (tmp_path / "detector.toml").read_text()
    (tmp_path / "detector.toml").write_text(card.replace("fake_index = 1", "fake_index = 0"))
    one, other = find_checkpoint(str(made.folder)), find_checkpoint(str(tmp_path))
    assert one.weights_sha256 == other.weights_sha256
    assert one.detector_id != other.detector_id
    assert one.detector_id.startswith("hf-ResNet@")


def test_a_falsified_backend_is_refused(folders, monkeypatch):
    """Half precision that changes logits by 1 is refused."""
    run = TorchBackend.run

    def falsified(self, pixels):
        logits, embeddings = run(self, pixels)
        return logits + (self.precision != "fp32"), embeddings

    monkeypatch.setattr(TorchBackend, "run", falsified)
    folder = str(folders["convnext"].folder)
    with pytest.raises(GateRefused, match="bf16 moves logits by 1"):
        load_detector(folder, device="cpu", precision="bf16")
    monkeypatch.undo()
    load_detector(folder, device="cpu", precision="fp32")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"backend": "openvino"}, "backends that can: torch, torch-compile"),
        ({"precision": "int8"}, "no ViT of the built-in layouts"),
        ({"positive": "real"}, "whose card says 'fake'"),
        ({"profile": "nothing"}, "unknown"),
    ],
)
def test_what_it_cannot_do_is_refused(asked, said, folders):
    """Other precisions, backends, directions and profiles are refused."""
    with pytest.raises(ConfigError, match=said):
        load_detector(str(folders["timm resnet"].folder), device="cpu", **asked)


CONFIG = {"architecture": "test_resnet", "num_classes": 1}
CARD = card_text("tiny", "timm", 160)


@pytest.mark.parametrize(
    ("card", "config", "error", "said"),
    [
        (CARD.replace("licence", "license"), CONFIG, ModelError, "did you mean licence"),
        (CARD.replace("size_px", "side_px", 1), CONFIG, ModelError, "unknown key input.side_px"),
        (CARD.replace('licence = "Apache-2.0"\n', ""), CONFIG, ModelError, "licence is missing"),
        (CARD.replace("0.2,", "0.0,"), CONFIG, ModelError, r"input.std.0 = 0.0"),
        (CARD.replace('positive = "fake"', ""), CONFIG, ModelError, 'positive = "fake"'),
        (CARD.replace("resize_px = 160", "resize_px = 80"), CONFIG, ModelError, "is less than"),
        (CARD, CONFIG | {"num_classes": 3}, ModelError, "3 outputs"),
        (CARD, {}, ModelError, "names the architecture"),
        (CARD, {"architecture": "no_such_net"}, ModelError, "has no architecture"),
        (CARD, {"architecture": "hf-hub:org/net"}, UntrustedWeights, "would be fetched"),
        (
            CARD,
            CONFIG | {"model_args": {"checkpoint_path": "/etc/passwd"}},
            UntrustedWeights,
            "checkpoint_path",
        ),
        (CARD, {"architecture": "test_convnext"}, UntrustedWeights, "weights are not those"),
        (
            card_text("tiny", "transformers", 64),
            {"model_type": "resnet", "num_labels": 1, "auto_map": {"AutoModel": "evil.Net"}},
            UntrustedWeights,
            "code of a repository is never run",
        ),
        (
            card_text("tiny", "transformers", 64),
            {"model_type": "resnet", "num_labels": 1, "id2label": {"0": "fake"}},
            UntrustedWeights,
            "missing",
        ),
        (
            card_text("tiny", "transformers", 64),
            {"model_type": "bert", "id2label": {"0": "fake"}},
            ModelError,
            "no image classifier",
        ),
        (
            card_text("tiny", "transformers", 64, fake_index=1),
            {"model_type": "resnet", "id2label": {"0": "fake"}},
            ModelError,
            "1 output,",
        ),
    ],
)
def test_what_is_wrong_in_a_folder_is_said(card, config, error, said, folders, tmp_path):
    """A card or config with a missing or forbidden key is refused with its name."""
    raw = (folders["timm resnet"].folder / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(raw)
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "detector.toml").write_text(card)
    with pytest.raises(error, match=said):
        load_detector(str(tmp_path), device="cpu")
