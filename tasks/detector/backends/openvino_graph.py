"""OpenVINO graph of a ViT, built from a checkpoint's tensors without PyTorch.

Both layouts give the same graph. The logit depends on the class token only, so the last block
computes that token alone, with the keys and values of all tokens: 7 % fewer operations for a
ViT-S and the same result.
"""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from ....data.errors import UntrustedWeights
from ..weights.architecture import Architecture, roles_of

if TYPE_CHECKING:
    import openvino

Weights = dict[str, NDArray[np.float32]]

_QKV: Final = ("q", "k", "v")
_FIRST_USE: Final = threading.Lock()
_CORES: Final[list[Any]] = []


def quiet_openvino() -> Any:
    """Return the openvino package, imported without the usage report it sends at import."""
    # Without the telemetry package, openvino uses a stub of it.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    # openvino builds its table of dtypes at the first use of a tensor. Two threads that build it
    # at once deadlock: one holds the table's lock, the other the interpreter's.
    with _FIRST_USE:
        openvino.Type.f32.to_dtype()
    return openvino


def openvino_core() -> Any:
    """Return the one `openvino.Core` of this process, which lives as long as the process.

    The CPU plugin sets a signal-handler stack for the thread that loads it and unmaps that stack
    with the core. When two cores are freed in the order of creation, or one on another thread, the
    thread keeps a dangling address, and the next Ctrl-C kills the process with SIGSEGV.
    """
    openvino = quiet_openvino()
    with _FIRST_USE:
        if not _CORES:
            _CORES.append(openvino.Core())
    return _CORES[0]


def weights_by_role(raw_weights: bytes, architecture: Architecture, what: str) -> Weights:
    """Return a checkpoint's tensors by role, in float32, with queries, keys and values separate.

    Args:
        raw_weights: Bytes of a checked safetensors file.
        architecture: Sizes of the network.
        what: Name of the checkpoint in messages.

    Raises:
        UntrustedWeights: A weight is not a finite number, or a tensor has no role in a ViT.
    """
    tensors = _tensors(raw_weights)
    out: Weights = {}
    for name, role in roles_of(tensors, what).items():
        values = np.ascontiguousarray(tensors[name], dtype=np.float32)
        if not np.isfinite(values).all():
            raise UntrustedWeights(f"{what}: {name} holds NaN or infinite weights; get it again")
        block, _, part = role.partition(".")
        if part.startswith("qkv."):
            kind = part.removeprefix("qkv.")
            for letter, piece in zip(_QKV, np.split(values, 3), strict=True):
                out[f"{block}.{letter}.{kind}"] = piece
        else:
            out[role] = values
    return out


def _tensors(raw_weights: bytes) -> dict[str, NDArray[Any]]:
    import safetensors

    pieces: Any = safetensors.deserialize(raw_weights)  # type: ignore[no-untyped-call]
    out: dict[str, NDArray[Any]] = {}
    for name, tensor in pieces:
        if tensor["dtype"] == "BF16":
            # numpy has no bfloat16, which is the upper half of a float32.
            upper = np.frombuffer(tensor["data"], dtype="<u2").astype(np.uint32)
            values = (upper << 16).view(np.float32)
        else:
            values = np.frombuffer(
                tensor["data"], dtype={"F32": "<f4", "F16": "<f2"}[tensor["dtype"]]
            )
        out[name] = values.reshape(tensor["shape"])
    return out


def build_model(
    raw_weights: bytes, architecture: Architecture, what: str, *, tokens: bool = False
) -> openvino.Model:
    """Build the OpenVINO graph of a ViT with one logit.

    Args:
        raw_weights: Bytes of a checked safetensors file.
        architecture: Sizes of the network, from `architecture_of`.
        what: Name of the checkpoint in messages.
        tokens: Whether all tokens after the final norm are an output too; the last block is then
            computed for every token.

    Returns:
        Graph with input `pixels` (N, 3, side, side) and outputs `logits` (N,), `embeddings`
        (N, D) and, with `tokens`, `tokens` (N, 1 + patches, D), the class token first; float32.

    Raises:
        UntrustedWeights: A weight is not a finite number, or a tensor has no role in a ViT.
    """
    quiet_openvino()
    return _Builder(weights_by_role(raw_weights, architecture, what), architecture).model(
        tokens=tokens
    )


class _Builder:
    """Builder of the graph, with one method per kind of layer; `x` has shape (N, tokens, D)."""

    def __init__(self, weights: Weights, architecture: Architecture) -> None:
        from openvino import opset14

        self.w = weights
        self.a = architecture
        self.op: Any = opset14

    def model(self, *, tokens: bool) -> openvino.Model:
        import openvino

        op, side = self.op, self.a.image_px
        pixels = op.parameter([-1, 3, side, side], np.float32, name="pixels")
        pixels.output(0).set_names({"pixels"})
        x = self._embed(pixels)
        for block in range(self.a.depth):
            is_last = block == self.a.depth - 1
            x = self._block(x, block, first_only=is_last and not tokens)
        x = self._norm(x, "norm")
        embeddings = self._first(x)
        logits = op.squeeze(self._linear(embeddings, "head"), np.array([1]))
        outputs = {"logits": logits, "embeddings": embeddings}
        if tokens:
            outputs["tokens"] = x
        for name, node in outputs.items():
            node.output(0).set_names({name})
        return openvino.Model([op.result(node) for node in outputs.values()], [pixels], "vit")

    def _embed(self, pixels: Any) -> Any:
        op, patch, width = self.op, self.a.patch_px, self.a.width
        stride, none = [patch, patch], [0, 0]
        x = op.convolution(pixels, self.w["patch.weight"], stride, none, none, [1, 1])
        x = op.add(x, self.w["patch.bias"].reshape(1, width, 1, 1))
        n_patches = (self.a.image_px // patch) ** 2
        x = op.transpose(op.reshape(x, np.array([0, width, n_patches]), True), [0, 2, 1])  # noqa: FBT003
        # The class token plus its position is the same row for every image.
        position = self.w["position"]
        first = self.w["cls_token"] + position[:, :1]
        batch = op.gather(op.shape_of(pixels), np.array([0]), np.array(0))
        rows = op.broadcast(first, op.concat([batch, np.array([1, width])], 0))
        return op.concat([rows, op.add(x, position[:, 1:])], 1)

    def _block(self, x: Any, block: int, *, first_only: bool) -> Any:
        op = self.op
        normed = self._norm(x, f"{block}.norm1")
        queried = normed
        if first_only:
            x, queried = self._first(x, keep=True), self._first(normed, keep=True)
        q, k, v = (
            self._heads(self._linear(source, f"{block}.{letter}"))
            for letter, source in zip(_QKV, (queried, normed, normed), strict=True)
        )
        mixed = op.scaled_dot_product_attention(q, k, v)
        mixed = op.reshape(op.transpose(mixed, [0, 2, 1, 3]), np.array([0, 0, self.a.width]), True)  # noqa: FBT003
        x = op.add(x, self._linear(mixed, f"{block}.out"))
        hidden = self._linear(self._norm(x, f"{block}.norm2"), f"{block}.fc1")
        return op.add(x, self._linear(op.gelu(hidden, "ERF"), f"{block}.fc2"))

    def _heads(self, x: Any) -> Any:
        """Split (N, tokens, D) into heads: (N, heads, tokens, D / heads)."""
        shape = np.array([0, 0, self.a.heads, self.a.width // self.a.heads])
        return self.op.transpose(self.op.reshape(x, shape, True), [0, 2, 1, 3])  # noqa: FBT003

    def _linear(self, x: Any, role: str) -> Any:
        product = self.op.matmul(x, self.w[f"{role}.weight"], False, True)  # noqa: FBT003
        return self.op.add(product, self.w[f"{role}.bias"])

    def _norm(self, x: Any, role: str) -> Any:
        op = self.op
        centred = op.mvn(x, np.array([-1]), True, self.a.layer_norm_eps, "INSIDE_SQRT")  # noqa: FBT003
        return op.add(op.multiply(centred, self.w[f"{role}.weight"]), self.w[f"{role}.bias"])

    def _first(self, x: Any, *, keep: bool = False) -> Any:
        """Return the class token: (N, D), or (N, 1, D) with `keep`."""
        index = np.array([0]) if keep else np.array(0)
        return self.op.gather(x, index, np.array(1))
