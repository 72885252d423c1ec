"""Classifiers of timm and transformers as modules with one logit and one embedding per image."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from safetensors.torch import load
from torch import nn

from ....data.errors import ModelError, UntrustedWeights, brief
from ..weights.library_classifier import LibraryClassifier

Tensors = dict[str, torch.Tensor]


class ClassifierNetwork(nn.Module):
    """Library classifier with the rule that turns its outputs into one logit.

    With two classes, the logit is the AI-generated class's output minus the other one's: its
    sigmoid is the softmax probability of the AI-generated class.

    Args:
        classifier: Network of the library.
        fake_index: Index of the AI-generated class; None for a network with one logit.
    """

    def __init__(self, classifier: nn.Module, *, fake_index: int | None) -> None:
        super().__init__()
        self.classifier = classifier
        self.fake_index = fake_index

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the logits (N,) and embeddings (N, D) of pixels (N, 3, side, side)."""
        outputs, embedding = self.outputs(pixels)
        if self.fake_index is None:
            return outputs[:, 0], embedding
        return outputs[:, self.fake_index] - outputs[:, 1 - self.fake_index], embedding

    def outputs(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the classifier's own outputs (N, 1 or 2) and embeddings (N, D)."""
        raise NotImplementedError


class _TimmNetwork(ClassifierNetwork):
    def outputs(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the outputs and the pooled features, which are the input of timm's last layer."""
        parts: Any = self.classifier
        features = parts.forward_features(pixels)
        embedding = parts.forward_head(features, pre_logits=True)
        return parts.forward_head(features), embedding.flatten(1)


class _TransformersNetwork(ClassifierNetwork):
    def __init__(self, classifier: nn.Module, *, fake_index: int | None, head: str) -> None:
        super().__init__(classifier, fake_index=fake_index)
        last = classifier.get_submodule(head)
        classifier.set_submodule(head, _WithItsInput(last))

    def outputs(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the outputs and the input of the last layer."""
        both = self.classifier(pixel_values=pixels).logits
        n_outputs = 1 if self.fake_index is None else 2
        return both[:, :n_outputs], both[:, n_outputs:]


class _WithItsInput(nn.Module):
    """Last layer that appends its input to its output; stateless, and so thread-safe."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.layer(features), features.flatten(1)], dim=1)


def build_classifier(
    raw_weights: bytes, architecture: LibraryClassifier, what: str
) -> ClassifierNetwork:
    """Return the network with the checkpoint's weights: float32, eval mode, parameters frozen.

    Args:
        raw_weights: Bytes of a checked safetensors file.
        architecture: Card and config of the classifier.
        what: Name of the checkpoint in messages.

    Raises:
        ModelError: The installed library cannot build the network, or its outputs are not one
            logit (or two classes) and one embedding per image.
        UntrustedWeights: The weights do not fit the network, or are not finite.
    """
    tensors = load(raw_weights)
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise UntrustedWeights(f"{what}: {name} holds NaN or infinite weights; get it again")
    # Building draws random weights; the caller's random state must not change.
    with torch.random.fork_rng(devices=[]):
        make = _timm if architecture.card.library == "timm" else _transformers
        network = make(tensors, architecture, what).float().eval()
    network.requires_grad_(requires_grad=False)
    _check_one_pass(network, architecture, what)
    return network


def _timm(tensors: Tensors, architecture: LibraryClassifier, what: str) -> ClassifierNetwork:
    import timm

    output = architecture.card.output
    if not timm.is_model(architecture.architecture):
        raise ModelError(
            f"{what}: timm {timm.__version__} has no architecture {architecture.architecture!r};"
            " correct it, or install the version that has it"
        )
    try:
        classifier = timm.create_model(
            architecture.architecture,
            pretrained=False,
            num_classes=output.n_logits,
            **architecture.config,
        )
    except (ImportError, RuntimeError, TypeError, ValueError) as error:
        raise ModelError(
            f"{what}: timm cannot build {architecture.architecture} ({brief(error)}); correct"
            " model_args in config.json"
        ) from error
    try:
        classifier.load_state_dict(tensors, strict=True)
    except RuntimeError as error:
        raise UntrustedWeights(
            f"{what}: the weights are not those of timm's {architecture.architecture}"
            f" ({brief(error)}); get the whole checkpoint"
        ) from error
    return _TimmNetwork(classifier, fake_index=output.fake_index)


def _transformers(
    tensors: Tensors, architecture: LibraryClassifier, what: str
) -> ClassifierNetwork:
    from transformers import AutoConfig, AutoModelForImageClassification

    output = architecture.card.output
    known: Any = AutoModelForImageClassification._model_mapping
    try:
        config = AutoConfig.for_model(**architecture.config)
        kind = known[type(config)]
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"{what}: transformers has no image classifier {architecture.architecture!r} for this"
            f" config.json ({brief(error)}); correct it, or install the version that has it"
        ) from error
    kind = kind[0] if isinstance(kind, tuple) else kind
    try:
        with _quiet_transformers():
            # Unlike load_state_dict, this translates tensor names of older releases.
            classifier, loading = kind.from_pretrained(
                None,
                config=config,
                state_dict=tensors,
                dtype=torch.float32,
                output_loading_info=True,
                ignore_mismatched_sizes=True,
            )
    except (ImportError, RuntimeError, TypeError, ValueError) as error:
        raise ModelError(
            f"{what}: transformers cannot build {kind.__name__} ({brief(error)}); correct"
            " config.json"
        ) from error
    odd = {
        "missing": loading["missing_keys"],
        "unexpected": loading["unexpected_keys"],
        "misshapen": loading["mismatched_keys"],
    }
    if any(odd.values()):
        listed = "; ".join(
            f"{len(names)} {word} (first: {min(map(str, names))})"
            for word, names in odd.items()
            if names
        )
        raise UntrustedWeights(
            f"{what}: the weights are not those of transformers' {kind.__name__}: {listed}; get"
            " the whole checkpoint"
        )
    head = output.head or "classifier"
    try:
        return _TransformersNetwork(classifier, fake_index=output.fake_index, head=head)
    except AttributeError as error:
        names = ", ".join(name for name, _ in classifier.named_children())
        raise ModelError(
            f"{what}: {kind.__name__} has no layer {head!r}; name its last layer in detector.toml"
            f" ([output] head = ...), its parts are: {names}"
        ) from error


def _check_one_pass(network: ClassifierNetwork, architecture: LibraryClassifier, what: str) -> None:
    """Refuse a network without one logit and one embedding per image of the stated size."""
    side = architecture.image_px
    try:
        with torch.inference_mode():
            outputs, embedding = network.outputs(torch.zeros(1, 3, side, side))
    except Exception as error:  # a library's network may raise any error
        raise ModelError(
            f"{what}: the network does not accept images of {side} px ({brief(error)}); correct"
            " size_px in detector.toml"
        ) from error
    n_logits = architecture.card.output.n_logits
    if tuple(outputs.shape) != (1, n_logits) or embedding.ndim != 2 or not embedding.shape[1]:
        raise ModelError(
            f"{what}: the network gives outputs of shape {tuple(outputs.shape)} and an embedding"
            f" of shape {tuple(embedding.shape)}; expected (1, {n_logits}) and (1, D)"
        )


@contextlib.contextmanager
def _quiet_transformers() -> Iterator[None]:
    """Suppress transformers' progress bars and loading reports; their content is checked here."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
