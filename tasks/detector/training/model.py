"""Network of the embedded detector: a small ViT with one logit, and its initial weights."""

from __future__ import annotations

import copy
import functools
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ..weights.registry import LABELS

if TYPE_CHECKING:
    from transformers import ViTForImageClassification

_TO_LUMA = torch.tensor([[0.299, 0.587, 0.114], [0.5, -0.419, -0.081], [-0.169, -0.331, 0.5]])


def build_vit(
    *, image_px: int, patch_px: int, width: int, layers: int, heads: int
) -> ViTForImageClassification:
    """Build a transformers `ViTForImageClassification` with one logit.

    The logit's sigmoid is the probability of AI-generated. Heads, epsilon and labels are stated,
    since the library's defaults would be wrong.

    Args:
        image_px: Side of the input.
        patch_px: Side of a patch.
        width: Dimension of a token.
        layers: Number of blocks.
        heads: Number of heads per block.
    """
    from transformers import ViTConfig, ViTForImageClassification

    config = ViTConfig(
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * width,
        hidden_act="gelu",
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        layer_norm_eps=1e-6,
        # The usual 0.02 suits wider networks. At this width it leaves the activations almost
        # linear, and aligned pairs teach nothing for hundreds of steps.
        initializer_range=0.06,
        image_size=image_px,
        patch_size=patch_px,
        num_channels=3,
        qkv_bias=True,
        id2label={0: LABELS["fake"]},
        label2id={LABELS["fake"]: 0},
    )
    return ViTForImageClassification(config)


def whiten_patches(model: ViTForImageClassification, pixels: torch.Tensor, *, seed: int) -> None:
    """Set the patch filters so that every spatial frequency enters with equal strength.

    Natural images have most of their energy in the lowest frequencies, and decoder traces are in
    the highest, which random filters on raw pixels hardly respond to. Each filter is a random mix
    of cosine patterns divided by their standard deviation over `pixels`; three in four filters
    are on luminance.

    Args:
        model: Model of `build_vit`; its patch filters are overwritten.
        pixels: Normalised views, (N, 3, H, W), H and W multiples of the patch.
        seed: Seed of the mixes.
    """
    conv = model.vit.embeddings.patch_embeddings.projection
    side, width = conv.kernel_size[0], conv.out_channels
    basis = _cosine_basis(side)
    spread = _coefficients(pixels, side).flatten(0, 1).std(dim=0) + 1e-3
    generator = torch.Generator().manual_seed(seed)
    mixes = torch.randn(width, 3, side * side, generator=generator)
    mixes[: width * 3 // 4, 1:] = 0.0
    mixes[width * 3 // 4 :, 0] = 0.0
    mixes = mixes / mixes.flatten(1).norm(dim=1)[:, None, None] / spread
    filters = torch.einsum("wdf,dc,fp->wcp", mixes, _TO_LUMA, basis)
    with torch.no_grad():
        conv.weight.copy_(filters.reshape(width, 3, side, side))
        conv.bias.zero_()


def tell_patches(model: ViTForImageClassification, real: torch.Tensor, fake: torch.Tensor) -> None:
    """Set the patch filters to the cosine patterns in which pairs differ most.

    Patterns are ranked by the mean change of their log energy from photo to fake, divided by its
    standard deviation over images. The filters are the first `hidden_size` patterns, each divided
    by its own standard deviation.

    Args:
        model: Model of `build_vit`; its patch filters are overwritten.
        real: Normalised views of photos, (N, 3, H, W), H and W multiples of the patch.
        fake: Normalised views of their fakes, with the same windows.
    """
    conv = model.vit.embeddings.patch_embeddings.projection
    side, width = conv.kernel_size[0], conv.out_channels
    before, after = log_energies(real, side), log_energies(fake, side)
    spread = torch.cat([before, after]).std(dim=0).clamp(min=1e-2)
    telling = (after - before).mean(dim=0).abs() / spread
    kept = telling.argsort(descending=True)[:width]
    both = _coefficients(torch.cat([real, fake]), side).flatten(0, 1)
    spread = both.std(dim=0).flatten()[kept] + 1e-3
    patterns = torch.einsum("dc,fp->dfcp", _TO_LUMA, _cosine_basis(side)).flatten(0, 1)[kept]
    with torch.no_grad():
        conv.weight[: len(kept)] = (patterns / spread[:, None, None]).reshape(-1, 3, side, side)
        conv.bias.zero_()


def log_energies(pixels: torch.Tensor, side: int) -> torch.Tensor:
    """Return the log of each cosine pattern's mean square over patches, (N, 3 * side * side)."""
    return torch.log(_coefficients(pixels, side).square().mean(dim=1) + 1e-4).flatten(1)


class EnergyHead(nn.Module):
    """Auxiliary head that predicts the standardised log energies of a view from a token.

    It is not part of the trained detector.

    Args:
        width: Dimension of a token.
        sample: Normalised views (N, 3, H, W), which define mean and standard deviation.
        patch_px: Side of a patch.
    """

    def __init__(self, width: int, sample: torch.Tensor, patch_px: int) -> None:
        super().__init__()
        energies = log_energies(sample, patch_px)
        self._mean, self._spread = energies.mean(dim=0), energies.std(dim=0) + 1e-3
        self._patch_px = patch_px
        self.linear = nn.Linear(width, energies.shape[1])

    def forward(self, token: torch.Tensor, pixels: torch.Tensor) -> torch.Tensor:
        """Return the mean square error of the predictions from tokens (N, width)."""
        wanted = (log_energies(pixels, self._patch_px) - self._mean) / self._spread
        return nn.functional.mse_loss(self.linear(token), wanted)


def set_half(
    model: ViTForImageClassification,
    real: NDArray[np.float32],
    fake: NDArray[np.float32],
) -> None:
    """Fold a scale and a shift into the last layer, so that 0.5 separates the classes.

    Both come from a balanced logistic regression on validation logits (Platt scaling). The order
    of scores does not change; where the fakes do not score higher, the layer stays as it is.

    Args:
        model: Model whose classifier is changed.
        real: Logits of photos, shape (N,).
        fake: Logits of AI-generated images, shape (M,).

    Source: Platt 1999, "Probabilistic Outputs for Support Vector Machines".
    """
    from sklearn.linear_model import LogisticRegression

    if len(real) == 0 or len(fake) == 0:
        return
    logits = np.concatenate([real, fake]).astype(np.float64)
    centre, spread = logits.mean(), logits.std() + 1e-9
    labels = np.array([0] * len(real) + [1] * len(fake))
    fit = LogisticRegression(class_weight="balanced").fit(
        (logits[:, None] - centre) / spread, labels
    )
    slope = float(fit.coef_[0, 0]) / spread
    if slope <= 0:
        return
    shift = float(fit.intercept_[0]) - slope * centre
    with torch.no_grad():
        model.classifier.weight.mul_(slope)
        model.classifier.bias.mul_(slope).add_(shift)


class Average:
    """Exponential moving average of a model's weights, which is the model that is kept."""

    def __init__(self, model: ViTForImageClassification, decay: float = 0.998) -> None:
        self.model = copy.deepcopy(model).eval()
        self._decay = decay
        self._n = 0

    def update(self, model: ViTForImageClassification) -> None:
        """Update the average with the weights of one step; early steps have a larger share."""
        self._n += 1
        decay = min(self._decay, (1 + self._n) / (10 + self._n))
        with torch.no_grad():
            for mean, new in zip(self.model.parameters(), model.parameters(), strict=True):
                mean.lerp_(new, 1 - decay)


def _coefficients(pixels: torch.Tensor, side: int) -> torch.Tensor:
    """Return the cosine coefficients of each patch's luma and chroma, (N, h * w, 3, side**2)."""
    patches = torch.einsum("dc,nchw->ndhw", _TO_LUMA, pixels)
    patches = patches.unfold(2, side, side).unfold(3, side, side)
    patches = patches.permute(0, 2, 3, 1, 4, 5).flatten(1, 2).flatten(3)
    return patches @ _cosine_basis(side).T


@functools.cache
def _cosine_basis(side: int) -> torch.Tensor:
    """Return the orthonormal 2-D cosine patterns (DCT-II), (side * side, side * side) float32."""
    k = np.arange(side)
    rows = np.sqrt(2 / side) * np.cos(np.pi * (2 * k[None, :] + 1) * k[:, None] / (2 * side))
    rows[0] /= np.sqrt(2)
    return torch.from_numpy(np.kron(rows, rows).astype(np.float32))
