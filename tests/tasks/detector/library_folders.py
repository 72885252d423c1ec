"""Folders of timm and transformers classifiers with random weights and a card."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torchvision import transforms

from assay.tasks.detector.weights.safetensors_file import sha256_of

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)

Chain = Callable[..., torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class Made:
    """Folder of a classifier, with the library's own network and preprocessing as reference."""

    folder: Path
    network: torch.nn.Module
    chain: Chain
    fake_index: int | None

    def logit(self, outputs: torch.Tensor) -> torch.Tensor:
        """Return the one logit of the network's outputs."""
        if self.fake_index is None:
            return outputs[:, 0]
        return outputs[:, self.fake_index] - outputs[:, 1 - self.fake_index]


def shaken(network: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """Return the network with weights and statistics that spread the logits of different images."""
    drawn = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in network.parameters():
            is_head = tensor.ndim == 2 and len(tensor) <= 2
            tensor.add_(torch.randn(tensor.shape, generator=drawn), alpha=3.0 if is_head else 0.05)
        for name, tensor in network.named_buffers():
            if name.endswith("running_mean"):
                tensor.add_(torch.randn(tensor.shape, generator=drawn), alpha=0.1)
            if name.endswith("running_var"):
                tensor.mul_(1 + torch.rand(tensor.shape, generator=drawn))
    return network.eval()


def card_text(
    name: str,
    library: str,
    size_px: int,
    *,
    resize_px: int | None = None,
    fake_index: int | None = None,
    weights_sha256: str | None = None,
    **of_input: object,
) -> str:
    """Return the text of a `detector.toml`."""
    values: dict[str, object] = {"size_px": size_px, "mean": list(MEAN), "std": list(STD)}
    values |= {"resize_px": resize_px or size_px} | of_input
    lines = [f'name = "{name}"', f'library = "{library}"', 'licence = "Apache-2.0"']
    if weights_sha256 is not None:
        lines.append(f'weights_sha256 = "{weights_sha256}"')
    lines += ["[input]", *(f"{key} = {json.dumps(value)}" for key, value in values.items())]
    lines += [
        "[output]",
        'positive = "fake"' if fake_index is None else f"fake_index = {fake_index}",
    ]
    return "\n".join(lines) + "\n"


def timm_folder(
    folder: Path, architecture: str = "test_resnet", *, fake_index: int | None = None
) -> Made:
    """Write a small timm network of 160 px, with the resize of timm's own transform."""
    import timm
    from timm.data import create_transform
    from timm.models import save_for_hf

    n_classes = 1 if fake_index is None else 2
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = timm.create_model(architecture, pretrained=False, num_classes=n_classes)
    shaken(network)
    save_for_hf(network, folder, safe_serialization=True)
    digest = sha256_of((folder / "model.safetensors").read_bytes())
    text = card_text(
        f"timm-{architecture}",
        "timm",
        160,
        resize_px=168,
        interpolation="bicubic",
        fake_index=fake_index,
        weights_sha256=digest,
    )
    (folder / "detector.toml").write_text(text)
    chain = create_transform(
        input_size=160, crop_pct=0.95, interpolation="bicubic", mean=MEAN, std=STD
    )
    return Made(folder=folder, network=network, chain=chain, fake_index=fake_index)


def transformers_folder(folder: Path, kind: str, *, fake_index: int | None = None) -> Made:
    """Write a small transformers network, saved by the library, which stretches its images."""
    import transformers

    n_labels = 1 if fake_index is None else 2
    configs = {
        "ResNet": {"embedding_size": 16, "hidden_sizes": [16, 32], "depths": [1, 1]},
        "ConvNext": {"hidden_sizes": [16, 32], "depths": [1, 1], "num_stages": 2},
        "Swin": {"image_size": 64, "embed_dim": 16, "depths": [1, 1], "num_heads": [2, 2]},
    }
    more = {"Swin": {"window_size": 4}, "ResNet": {"layer_type": "basic"}}.get(kind, {})
    config = getattr(transformers, f"{kind}Config")(num_labels=n_labels, **configs[kind], **more)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = getattr(transformers, f"{kind}ForImageClassification")(config)
    shaken(network)
    network.save_pretrained(folder)
    text = card_text(f"hf-{kind}", "transformers", 64, fit="stretch", fake_index=fake_index)
    (folder / "detector.toml").write_text(text)
    chain = transforms.Compose(
        [transforms.Resize((64, 64)), transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
    )
    return Made(folder=folder, network=network, chain=chain, fake_index=fake_index)
