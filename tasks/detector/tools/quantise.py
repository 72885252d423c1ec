"""Quantisation of weights to 8-bit integers by NNCF on a user's images, with a hash of its own."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import io
import json
import logging
import os
import secrets
import shutil
from collections.abc import Iterable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ....data.errors import ConfigError, InputError
from ....data.text.wording import counted
from ..backends.openvino_graph import build_model, quiet_openvino
from ..inputs.profiles import Profile
from ..selection.measurements import now
from ..weights.checkpoint import Checkpoint
from ..weights.int8_store import (
    FACTS,
    MODEL,
    Quantised,
    files_sha256,
    find_quantised,
    quantised_folder,
)

MIN_IMAGES: Final = 32


def quantise(
    checkpoint: Checkpoint,
    profile: Profile,
    pixels_f32_chw: Iterable[NDArray[np.float32]],
    *,
    image_ids: Iterable[str] = (),
) -> Quantised:
    """Quantise a checkpoint on preprocessed images and keep the result on this machine.

    Weights and activations of the matrix products become 8-bit integers (post-training
    quantisation with SmoothQuant, by NNCF). The patch embedding and the head stay fp32, since the
    first has the pixels' full range as its input and the second accumulates every error.

    Args:
        checkpoint: Checked checkpoint.
        profile: Preprocessing profile of the images, to which the result belongs.
        pixels_f32_chw: Preprocessed images, `MIN_IMAGES` or more, each (3, side, side).
        image_ids: Ids of the images; stored, so that drift is measured on other images.

    Returns:
        Quantised weights, read back and checked.

    Raises:
        ConfigError: NNCF is not installed, or the network is no ViT of the built-in layouts.
        InputError: There are too few images, or the result cannot be written.

    Source: Xiao et al. 2023, "SmoothQuant: Accurate and Efficient Post-Training Quantization".
    """
    if importlib.util.find_spec("nncf") is None:
        raise ConfigError(
            "quantising needs NNCF, which is not installed: pip install 'assay[int8]'"
        )
    batches = [pixels[None] for pixels in pixels_f32_chw]
    if len(batches) < MIN_IMAGES:
        raise InputError(
            f"{counted(len(batches), 'image is', 'images are')} too few to measure"
            f" ranges on; needed are {MIN_IMAGES} or"
            " more, of the kinds to be scored: ingest more"
        )
    model = _quantised_model(checkpoint, batches)
    folder = quantised_folder(checkpoint.weights_sha256, profile)
    unfinished = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    try:
        unfinished.mkdir(parents=True)
        openvino = quiet_openvino()
        openvino.save_model(model, str(unfinished / MODEL), compress_to_fp16=False)
        facts = {
            "weights_sha256": checkpoint.weights_sha256,
            "profile": profile.describe(),
            "sha256": files_sha256(unfinished),
            "n_images": len(batches),
            "image_ids": sorted(image_ids),
            "pictures_sha256": hashlib.sha256(
                b"".join(hashlib.sha256(pixels.tobytes()).digest() for pixels in batches)
            ).hexdigest(),
            "made_at": now(),
            "versions": {name: importlib.metadata.version(name) for name in ("nncf", "openvino")},
        }
        (unfinished / FACTS).write_text(json.dumps(facts, indent=1), encoding="utf-8")
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(unfinished, folder)  # noqa: PTH105
    except OSError as error:
        raise InputError(f"cannot write {folder}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return find_quantised(checkpoint.weights_sha256, profile, detector=checkpoint.name)


def _quantised_model(checkpoint: Checkpoint, batches: list[NDArray[np.float32]]) -> Any:
    quiet_openvino()  # first, since NNCF sends the same usage report
    import nncf
    from nncf.quantization.range_estimator import RangeEstimatorParametersSet

    # `nncf.set_log_level` would also set the level of each handler, and others share theirs.
    logging.getLogger("nncf").setLevel(logging.ERROR)
    graph = build_model(checkpoint.raw_weights, checkpoint.require_vit(), checkpoint.name)
    head = [node for node in graph.get_ordered_ops() if node.get_type_name() == "MatMul"][-1]
    # NNCF's progress bars go to stdout, which is for data.
    with contextlib.redirect_stdout(io.StringIO()):
        return nncf.quantize(
            graph,
            nncf.Dataset(batches),
            model_type=nncf.ModelType.TRANSFORMER,
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(batches),
            ignored_scope=nncf.IgnoredScope(
                types=["Convolution"], names=[head.get_friendly_name()]
            ),
            # These parameters gave the smallest drift of all that were tried: other smoothing,
            # quantile ranges, the defaults.
            advanced_parameters=nncf.AdvancedQuantizationParameters(
                activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX,
                smooth_quant_alphas=nncf.AdvancedSmoothQuantParameters(matmul=0.5),
            ),
        )
