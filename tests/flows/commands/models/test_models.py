"""`assay models`: what is got, checked, turned round and told, and what is refused."""

import hashlib
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from factories import encoded, photo
from safetensors.torch import load_file
from tiny_models import TINY, VIT_S, hf_config, hf_tensors, timm_tensors, write_hf, write_timm

from assay.data.errors import ConfigError, InputError, ModelError, UntrustedWeights
from assay.flows.cli import main
from assay.tasks.detector.inputs.preprocess import preprocess
from assay.tasks.detector.load import load_detector
from assay.tasks.detector.tools.convert import convert, converted
from assay.tasks.detector.weights import registry
from assay.tasks.detector.weights.checkpoint import find_checkpoint
from assay.tasks.detector.weights.hub import HubId, is_cached
from assay.tasks.detector.weights.pull import pull

TENSORS = timm_tensors()
REPO, REVISION = "org/vit", "0123456789abcdef0123456789abcdef01234567"


def exit_code(*arguments: object) -> int:
    """Return the exit code of the command."""
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# Conversion.


def test_conversion_gives_the_names_and_numbers_of_the_other_layout(tmp_path):
    """Both ways, against tensors that the tests name and split by themselves."""
    timm, hf = write_timm(tmp_path / "timm", TENSORS), write_hf(tmp_path / "hf", TENSORS)
    to_hf = convert(find_checkpoint(str(timm)), "transformers", tmp_path / "to-hf")
    to_timm = convert(find_checkpoint(str(hf)), "timm", tmp_path / "to-timm")
    assert same(load_file(to_hf / "model.safetensors"), hf_tensors(TENSORS))
    assert same(load_file(to_timm / "model.safetensors"), TENSORS)
    assert not (to_timm / "config.json").exists()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_there_and_back_is_bit_for_bit(tmp_path, dtype):
    """For every number format that is accepted."""
    tensors = {name: tensor.to(dtype) for name, tensor in TENSORS.items()}
    raw = (write_timm(tmp_path, tensors) / "model.safetensors").read_bytes()
    back = converted(converted(raw, "transformers", "x"), "timm", "x")
    (tmp_path / "back.safetensors").write_bytes(back)
    assert same(load_file(tmp_path / "back.safetensors"), tensors)


def test_the_libraries_load_what_was_converted_and_agree(tmp_path):
    """Timm and transformers give the same logits on the two layouts of a ViT-S."""
    import timm
    from transformers import ViTForImageClassification

    tensors = timm_tensors(VIT_S, seed=5)
    hf = convert(
        find_checkpoint(str(write_timm(tmp_path / "a", tensors))), "transformers", tmp_path / "hf"
    )
    back = convert(find_checkpoint(str(hf)), "timm", tmp_path / "timm")
    theirs = timm.create_model("vit_small_patch16_384", num_classes=1).eval()
    names = load_file(back / "model.safetensors")
    theirs.load_state_dict({k.removeprefix("vit."): v for k, v in names.items()}, strict=True)
    others = ViTForImageClassification.from_pretrained(hf, use_safetensors=True).eval()
    pixels = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 3, 384, 384))).float()
    with torch.inference_mode():
        one, other = theirs(pixels)[:, 0], others(pixels).logits[:, 0]
    torch.testing.assert_close(one, other, atol=1e-4, rtol=0)
    ours = load_detector(str(back), device="cpu", backend="torch").forward(pixels.numpy())[0]
    np.testing.assert_allclose(ours, one.numpy(), atol=1e-3)


def test_what_the_weights_do_not_tell_goes_along(tmp_path):
    """Direction, epsilon and heads survive there and back."""
    config = hf_config(layer_norm_eps=1e-4)
    source = write_hf(tmp_path / "hf", TENSORS, config, positive="real")
    back = convert(find_checkpoint(str(source)), "timm", tmp_path / "timm")
    found = find_checkpoint(str(back))
    assert (found.positive, found.architecture.layer_norm_eps) == ("real", 1e-4)
    again = convert(found, "transformers", tmp_path / "again")
    assert json.loads((again / "config.json").read_text())["layer_norm_eps"] == 1e-4


def test_conversion_overwrites_nothing(tmp_path):
    """A folder with files in it is left alone."""
    source = write_timm(tmp_path / "a", TENSORS)
    with pytest.raises(InputError, match="not an empty folder"):
        convert(find_checkpoint(str(source)), "timm", source)
    assert exit_code("models", "convert", source, "--to", "timm", "-o", source) == 3


# Verifying.


def golden_folder(folder: Path, detector, *, off_by: float = 0.0) -> Path:
    folder.mkdir()
    lines = []
    for seed in range(2):
        raw = encoded(photo(seed=seed, size=(500, 460)), "PNG")
        (folder / f"{seed}.png").write_bytes(raw)
        logit = detector.forward(preprocess(raw, detector.profile)[None])[0][0]
        prob = 1 / (1 + np.exp(-float(logit)))
        lines.append(f'"{seed}.png" = {prob + off_by * (seed == 1):.6f}')
    (folder / "golden.toml").write_text("\n".join(lines))
    return folder


def test_known_scores_match_or_do_not(tmp_path, capsys):
    """Each picture by name; one mismatch and the detector is not to be used."""
    model = str(write_timm(tmp_path / "m", timm_tensors(seed=2)))
    detector = load_detector(model, device="cpu")
    right = golden_folder(tmp_path / "right", detector)
    assert exit_code("models", "verify", model, "--golden", right) == 0
    assert capsys.readouterr().out.count("match     ") == 2
    wrong = golden_folder(tmp_path / "wrong", detector, off_by=0.01)
    assert exit_code("models", "verify", model, "--golden", wrong) == 5
    told = capsys.readouterr()
    assert "MISMATCH  1.png" in told.out
    assert "1 of 2 golden images" in told.err
    assert "match     0.png" in told.out


def test_another_picture_under_a_golden_name_is_a_mismatch(tmp_path, capsys, monkeypatch):
    """The registry knows the pictures by hash, so a look-alike does not pass."""
    model = write_timm(tmp_path / "m", TENSORS)
    card = registered(model, monkeypatch)
    golden = (registry.Golden(name="a.png", image_sha256="0" * 64, prob_fake=0.5),)
    monkeypatch.setattr(registry, "CARDS", (replace(card, golden=golden),))
    (tmp_path / "g").mkdir()
    (tmp_path / "g" / "a.png").write_bytes(encoded(photo(), "PNG"))
    assert exit_code("models", "verify", model, "--golden", tmp_path / "g") == 5
    assert "another image" in capsys.readouterr().out


def test_golden_folders_that_say_nothing(tmp_path, capsys):
    """No folder, no known scores, no numbers: each says what to do."""
    model = write_timm(tmp_path / "m", TENSORS)
    assert exit_code("models", "verify", model, "--golden", tmp_path / "none") == 3
    assert "no folder" in capsys.readouterr().err
    assert exit_code("models", "verify", model, "--golden", model) == 3
    assert "no scores are known" in capsys.readouterr().err
    (model / "golden.toml").write_text('"a.png" = "high"')
    assert exit_code("models", "verify", model, "--golden", model) == 3
    assert "expected lines such as" in capsys.readouterr().err


def pickled(folder: Path) -> None:
    torch.save({"w": torch.zeros(1)}, folder / "model.safetensors")


def cut(folder: Path) -> None:
    raw = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(raw[:-100])


def tampered(folder: Path) -> None:
    raw = bytearray((folder / "model.safetensors").read_bytes())
    digest = hashlib.sha256(raw).hexdigest()
    raw[-1] ^= 1
    (folder / "model.safetensors").write_bytes(raw)
    (folder / "detector.toml").write_text(f'positive = "fake"\nweights_sha256 = "{digest}"\n')


def twelve_heads(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps(hf_config(num_attention_heads=12)))


def two_logits(folder: Path) -> None:
    write_hf(folder, timm_tensors(n_logits=2))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (pickled, "is a pickle"),
        (cut, "cut short"),
        (tampered, "pinned is"),
        (twelve_heads, "12 heads"),
        (two_logits, "has 2 logits"),
    ],
)
def test_what_is_refused(tmp_path, capsys, spoil, said):
    """Each with exit code 5 and its own words, whichever verb meets it."""
    folder = write_hf(tmp_path / "m", TENSORS, hf_config(TINY))
    assert exit_code("models", "verify", folder) == 0
    spoil(folder)
    for verb in (["verify"], ["convert", "--to", "timm", "-o", str(tmp_path / "out")]):
        assert exit_code("models", verb[0], folder, *verb[1:]) == 5
        assert said in capsys.readouterr().err


def test_the_broken_revision_is_refused(capsys):
    """It loads without complaint elsewhere, and scores wrongly."""
    name = "buildborderless/CommunityForensics-DeepfakeDet-ViT@761adfb"
    assert exit_code("models", "verify", name) == 5
    assert "broken port" in capsys.readouterr().err


# Telling.


def test_list_and_card_tell_what_is_pinned(capsys):
    """As data, so that others can check it."""
    assert exit_code("models", "list", "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows][:4] == list(registry.registered_names())
    assert next(row for row in rows if row["name"] == "mini")["here"] is True
    assert exit_code("models", "card", "community-forensics", "--json") == 0
    card = json.loads(capsys.readouterr().out)
    assert card["n_bytes"] == 87_270_764
    assert card["may_act_alone"] is False
    assert [one["prob_fake"] for one in card["golden"]] == [0.9988, 0.9878, 0.9569, 0.9516, 0.786]
    assert exit_code("models", "card", "mini") == 0
    assert "README.md" in capsys.readouterr().out


def test_an_unregistered_folder_has_no_card(tmp_path, capsys):
    """And is told how to look at it all the same."""
    assert exit_code("models", "card", write_timm(tmp_path / "m", TENSORS)) == 3
    assert "models verify" in capsys.readouterr().err


# Pulling.


def registered(folder: Path, monkeypatch) -> registry.DetectorCard:
    """Create a registry of one card, for the checkpoint in a folder."""
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    card = registry.DetectorCard(
        name="tiny",
        repo=REPO,
        revision=REVISION,
        weights_sha256=digest,
        layout="timm",
        weights_licence="MIT",
        data_licence="none",
        limits="tiny",
    )
    monkeypatch.setattr(registry, "CARDS", (card,))
    return card


def test_pull_from_a_copied_folder_makes_the_name_load(tmp_path, monkeypatch):
    """Without a network, from what somebody carried over."""
    model = write_timm(tmp_path / "m", TENSORS, positive=None)
    registered(model, monkeypatch)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    cache = tmp_path / "cache"
    with pytest.raises(ModelError, match="not in the cache"):
        pull("tiny", cache_dir=cache)
    pull("tiny", source=model, to=tmp_path / "copy", cache_dir=cache)
    assert is_cached(HubId(repo=REPO, revision=REVISION), cache_dir=cache)
    assert load_detector("tiny", cache_dir=cache).detector_id == f"tiny@{REVISION}"
    assert find_checkpoint(str(tmp_path / "copy")).card.name == "tiny"


def test_pull_takes_no_other_file(tmp_path, monkeypatch):
    """Neither from a folder nor out of a cache that somebody wrote to."""
    model = write_timm(tmp_path / "m", TENSORS, positive=None)
    registered(model, monkeypatch)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    other = write_timm(tmp_path / "other", timm_tensors(seed=9), positive=None)
    cache = tmp_path / "cache"
    with pytest.raises(UntrustedWeights, match="pinned is"):
        pull("tiny", source=other, cache_dir=cache)
    pull("tiny", source=model, cache_dir=cache)
    (held,) = cache.rglob("model.safetensors")
    shutil.copy(other / "model.safetensors", held)
    with pytest.raises(ModelError, match="not in the cache"):
        pull("tiny", cache_dir=cache)
    assert not held.exists()


@pytest.mark.parametrize("name", ["mini", "nothing"])
def test_what_there_is_nothing_to_pull_of(name):
    """The embedded detector is here already; others are unknown."""
    with pytest.raises(ConfigError, match="choose one of: community-forensics, commfor-384"):
        pull(name)


PULL = """
import sys
from dataclasses import replace
from assay.tasks.detector.weights import registry
mine = replace(registry.CARDS[1], name="tiny", repo="org/vit", revision=sys.argv[1],
    weights_sha256=sys.argv[2], config_sha256=None, image_px=None, width=None, depth=None,
    heads=None)
registry.CARDS = (mine,)
from assay.flows.cli import main
main(["models", "pull", "tiny", "--json"])
"""


def test_an_interrupted_download_is_never_used_and_goes_on(tmp_path):
    """The hub cuts the line half way; the file appears only when it is whole and right."""
    model = write_timm(tmp_path / "m", TENSORS, positive=None)
    raw = (model / "model.safetensors").read_bytes()
    digest = hashlib.sha256(raw).hexdigest()
    asked: list[str | None] = []
    is_cut = True

    class Hub(http.server.BaseHTTPRequestHandler):
        def answer(self, *, with_body: bool) -> None:
            start = 0
            wanted = self.headers.get("Range")
            if wanted:
                start = int(wanted.removeprefix("bytes=").split("-")[0])
            self.send_response(206 if wanted else 200)
            self.send_header("X-Repo-Commit", REVISION)
            self.send_header("ETag", f'"{digest}"')
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Length", str(len(raw) - start))
            if wanted:
                self.send_header("Content-Range", f"bytes {start}-{len(raw) - 1}/{len(raw)}")
            self.end_headers()
            if with_body:
                asked.append(wanted)
                self.wfile.write(raw[start : len(raw) // 2] if is_cut else raw[start:])

        def do_HEAD(self):
            self.answer(with_body=False)

        def do_GET(self):
            self.answer(with_body=True)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        keep = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
        environment = keep | {
            "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
            "HF_HOME": str(tmp_path / "hub"),
            "NO_PROXY": "*",
        }

        def pulled() -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [sys.executable, "-c", PULL, REVISION, digest],
                env=environment,
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )

        first = pulled()
        assert first.returncode == 5, first
        assert not list((tmp_path / "hub").rglob("model.safetensors"))
        is_cut = False
        second = pulled()
        server.shutdown()
    assert second.returncode == 0, second
    (weights,) = json.loads(second.stdout)["files"]
    assert hashlib.sha256(Path(weights).read_bytes()).hexdigest() == digest
    assert len(asked) >= 2
