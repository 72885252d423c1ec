"""Detectors that are Python objects: scoring, checks and identity."""

import hashlib
from types import SimpleNamespace

import numpy as np
import pytest
from factories import encoded, photo
from library_folders import timm_folder

from assay.data.errors import ConfigError, GateRefused, ModelError, UntrustedWeights
from assay.data.score_key import UNVERIFIED
from assay.tasks.bench.backends import measure_backends, wanted_backends
from assay.tasks.detector.backends.make import build_module
from assay.tasks.detector.inputs.preprocess import preprocess
from assay.tasks.detector.load import load_detector
from assay.tasks.detector.streaming import score_stream
from assay.tasks.detector.tools.listing import known_detectors
from assay.tasks.detector.weights import python_detector
from assay.tasks.detector.weights.checkpoint import chosen_profile, find_checkpoint
from assay.tasks.detector.weights.detector_card import Card, Square
from assay.tasks.detector.weights.python_detector import offer_detector


class Brightness:
    """Detector that takes bright images for AI-generated."""

    def __init__(self, name="brightness", **of_card):
        self.card = Card(name=name, version="1", licence="MIT", input=Square(size_px=32), **of_card)

    def score(self, rgb_u8_nhwc):
        """Return the mean of the pixels, from -0.5 to 0.5."""
        assert rgb_u8_nhwc.dtype == np.uint8
        return rgb_u8_nhwc.mean(axis=(1, 2, 3)) / 255 - 0.5


class WithEmbedding(Brightness):
    """The same detector, with the mean of each channel as embedding."""

    def embed(self, rgb_u8_nhwc):
        """Commit scores with these embeddings by shot name; None is a failure."""
        return rgb_u8_nhwc.mean(axis=(1, 2))


@pytest.fixture(autouse=True)
def nothing_offered(monkeypatch):
    monkeypatch.setattr(python_detector, "_offered", {})


RAW = [encoded(photo(seed=seed, size=(90, 70)), "PNG") for seed in range(3)]


def test_it_is_given_the_very_bytes_of_the_square():
    """The detector gets the bytes in the order height, width, channel."""
    seen = []

    class Spy(Brightness):
        def score(self, rgb_u8_nhwc):
            seen.append(rgb_u8_nhwc.copy())
            return super().score(rgb_u8_nhwc)

    detector = load_detector(offer_detector(Spy()))
    seen.clear()
    every_byte = np.arange(32 * 32 * 3, dtype=np.uint8).reshape(1, 32, 32, 3)
    pixels = (every_byte.transpose(0, 3, 1, 2) / np.float32(255)).astype(np.float32)
    detector.forward(pixels)
    np.testing.assert_array_equal(seen[0], every_byte)


def test_it_scores_and_embeds_as_it_says():
    """Logits and embeddings are the detector's own; embeddings are optional."""
    detector = load_detector(offer_detector(WithEmbedding()))
    logits, embeddings = detector.forward(np.stack([preprocess(r, detector.profile) for r in RAW]))
    assert embeddings.shape == (3, 3)
    assert detector.embedding_dim == 3
    np.testing.assert_allclose(logits, embeddings.mean(axis=1) / 255 - 0.5, atol=1e-5)
    assert (detector.backend, detector.precision) == ("python", "fp32")
    plain = load_detector(offer_detector(Brightness("plain")))
    (scored,) = (one for part in score_stream(plain, [("a", RAW[0])]) for one in part)
    assert scored.embedding is None
    assert scored.logit == pytest.approx(float(logits[0]), abs=1e-6)
    assert plain.embedding_dim == 0


def test_without_files_it_is_unverified():
    """The card takes the place of the hash; another version is another detector."""
    found = find_checkpoint(offer_detector(Brightness()))
    assert found.detector_id == "brightness@1"
    assert found.weights_sha256.startswith(UNVERIFIED)
    assert not found.is_pinned
    assert "weights unverified" in load_detector("brightness").key.describe()
    other = Brightness(limits="Knows nothing of colours.")
    assert find_checkpoint(offer_detector(other)).weights_sha256 != found.weights_sha256


def test_files_give_it_their_hash(tmp_path):
    """One file gives its hash, several a hash by name and order; a stated hash is checked."""
    files = (tmp_path / "a.bin", tmp_path / "b.bin")
    for file in files:
        file.write_bytes(file.name.encode())
    digest = hashlib.sha256(b"a.bin").hexdigest()
    name = offer_detector(Brightness(weights=files[:1]))
    assert find_checkpoint(name).weights_sha256 == digest
    assert not find_checkpoint(name).is_pinned
    offer_detector(Brightness(weights=files[:1], weights_sha256=digest))
    assert find_checkpoint(name).is_pinned
    offer_detector(Brightness(weights=files[:1], weights_sha256="0" * 64))
    with pytest.raises(UntrustedWeights, match="pinned is 0000"):
        find_checkpoint(name)
    offer_detector(Brightness(weights=files))
    both = find_checkpoint(name).weights_sha256
    offer_detector(Brightness(weights=files[::-1]))
    assert len({digest, both, find_checkpoint(name).weights_sha256}) == 3
    offer_detector(Brightness(weights=(tmp_path / "none",)))
    with pytest.raises(ModelError, match="cannot read"):
        find_checkpoint(name)
    offer_detector(Brightness(weights_sha256="0" * 64))
    with pytest.raises(UntrustedWeights, match="names no file"):
        find_checkpoint(name)


def test_scores_that_hang_on_the_batch_are_refused():
    """An image must score the same beside any other images."""

    class Relative(Brightness):
        def score(self, rgb_u8_nhwc):
            logits = super().score(rgb_u8_nhwc)
            return logits - logits.mean()

    name = offer_detector(Relative())
    with pytest.raises(GateRefused, match="may not depend on the images beside it"):
        load_detector(name)
    assert "forced" in load_detector(name, force_drift=True).why


@pytest.mark.parametrize(
    ("score", "said"),
    [
        (lambda _: None, "returned NoneType; expected an array of numbers"),
        (lambda _: 1 // 0, "score raised ZeroDivisionError"),
        (lambda squares: np.zeros((len(squares), 2)), r"expected \(N,\)"),
        (lambda _: np.zeros(1), r"expected \(N,\)"),
    ],
)
def test_answers_of_another_shape_are_refused(score, said):
    """The error names the method, the shape and the expected one."""
    scorer = Brightness()
    scorer.score = score
    with pytest.raises(ModelError, match=said):
        load_detector(offer_detector(scorer)).forward(np.zeros((3, 3, 32, 32), np.float32))


def test_what_is_no_detector_is_refused():
    """The error names the missing attribute."""
    with pytest.raises(ConfigError, match="it must have a card and score"):
        offer_detector(object())
    scorer = Brightness()
    scorer.card = {"name": "a"}
    with pytest.raises(ConfigError, match="has a card of type dict"):
        offer_detector(scorer)
    with pytest.raises(ConfigError, match="taken by another detector"):
        offer_detector(Brightness("mini"))
    offer_detector(Brightness())
    with pytest.raises(ConfigError, match=r"choose one of .*brightness"):
        find_checkpoint("brightnes")


@pytest.mark.parametrize(
    "asked",
    [{"precision": "bf16"}, {"backend": "torch"}, {"positive": "real"}, {"profile": "hf-clip"}],
)
def test_what_it_cannot_do_is_refused(asked):
    """Other precisions, backends, directions and profiles are refused."""
    name = offer_detector(Brightness())
    with pytest.raises(ConfigError):
        load_detector(name, **asked)


def test_it_has_no_gradients():
    """Attacks need a network, and the refusal says so."""
    with pytest.raises(ConfigError, match="without a PyTorch network"):
        build_module(find_checkpoint(offer_detector(Brightness())))


def test_its_bench_compares_batches_with_single_images():
    """Drift is that of batches against single images, since no other backend runs it."""
    checkpoint = find_checkpoint(offer_detector(Brightness()))
    profile = chosen_profile(None, checkpoint)
    wanted = wanted_backends(checkpoint, profile, kind="cpu")
    assert wanted == [("python", "fp32")]
    (measured,) = measure_backends(checkpoint, profile, wanted)
    assert measured.drift.max < 1e-6
    assert measured.images_per_second > 0
    assert "in a batch against alone" in measured.pictures


@pytest.fixture
def adds(monkeypatch):
    """Let an installed package add an object under a name."""

    def add(name, entry):
        found = SimpleNamespace(dist=None, module="some_package", value="some_package:it")
        monkeypatch.setattr(python_detector.plugins, "entries", lambda _: {name: found})
        monkeypatch.setattr(python_detector.plugins, "load", lambda *_: entry)
        python_detector._made.cache_clear()

    yield add
    python_detector._made.cache_clear()


def test_a_package_may_add_a_folder(adds, tmp_path):
    """A folder whose card has the entry's name is loaded."""
    made = timm_folder(tmp_path / "net")
    adds("timm-test_resnet", made.folder)
    assert find_checkpoint("timm-test_resnet").detector_id.startswith("timm-test_resnet@")
    assert load_detector("timm-test_resnet", device="cpu").embedding_dim == 96
    adds("another", made.folder)
    with pytest.raises(ConfigError, match="the two names must be equal"):
        find_checkpoint("another")


@pytest.mark.parametrize("entry", [Brightness, lambda: Brightness("brightness"), Brightness()])
def test_a_package_may_add_an_object_or_what_makes_one(adds, entry):
    """An entry point may name a class, a function or an object."""
    adds("brightness", entry)
    assert load_detector("brightness").detector_id == "brightness@1"


def test_what_a_package_adds_wrongly_is_told_with_its_name(adds):
    """A raising class, a wrong object and a card of another name are refused."""

    class Broken:
        def __init__(self):
            raise RuntimeError("no disk")

    for name, entry, said in (
        ("broken", Broken, "cannot be made: RuntimeError: no disk"),
        ("odd", 3, "is no detector"),
        ("dark", Brightness, "the two names must be equal"),
    ):
        adds(name, entry)
        with pytest.raises(ConfigError, match=said) as caught:
            find_checkpoint(name)
        assert "the package of some_package" in str(caught.value)
    rows = {row.name: row for row in known_detectors()}
    assert "two names must be equal" in rows["dark"].problem


def test_a_name_of_assays_own_cannot_be_taken(adds):
    """`mini` is the embedded detector, whatever is installed."""
    adds("mini", Brightness)
    assert find_checkpoint("mini").card.name == "mini"
