"""A run reads the weights that it hashes, once, and hands the same bytes to every backend."""

import pytest
from factories import encoded, photo
from opened_files import opened_by
from tiny_models import timm_tensors, write_timm


@pytest.mark.xdist_group("forked")
@pytest.mark.parametrize(("detector", "backend"), [("mini", "torch"), ("folder", "openvino")])
def test_a_run_opens_the_weights_once(detector, backend, tmp_path):
    """Found, hashed, identified, loaded and, for OpenVINO, measured against PyTorch."""
    if detector == "folder":
        detector = str(write_timm(tmp_path / "vit", timm_tensors()))
    (tmp_path / "pictures").mkdir()
    for seed in range(2):
        (tmp_path / "pictures" / f"{seed}.png").write_bytes(encoded(photo(seed=seed), "PNG"))
    opened = opened_by(
        "moderate",
        str(tmp_path / "pictures"),
        *("--lake", str(tmp_path / "lake"), "--detector", detector, "--backend", backend),
        *("--quiet", "--json"),
    )
    assert opened["model.safetensors"] == 1
    assert opened["detector.toml"] == 1
