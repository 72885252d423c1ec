"""Do the maps of `assay explain` tell what a score hangs on, better than a random order does?

Deletion and insertion curves on patches, for each map and for random orders of the same
pictures, with bootstrap intervals of the mean difference; on the given detector and on one of
the same shape with random weights.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from scipy.special import expit
from transformers import ViTConfig, ViTForImageClassification

from assay.tasks.detector.inputs.preprocess import preprocess
from assay.tasks.detector.load import load_detector
from assay.tasks.detector.weights.checkpoint import chosen_profile, find_checkpoint
from assay.tasks.explain.attention import AttendingNetwork
from assay.tasks.explain.attribution import gradient_weighted, patch_map, rollout
from assay.tasks.explain.faithfulness import Curves, curves


def main() -> None:
    """Print one table per detector."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--detector", default="mini")
    parser.add_argument("--n", type=int, default=40)
    parser.add_argument("--random-orders", type=int, default=2)
    parser.add_argument("--random-weights", action="store_true")
    arguments = parser.parse_args()
    files = sorted(p for p in arguments.photos.rglob("*") if p.suffix in {".jpg", ".png", ".webp"})
    rng = np.random.default_rng(0)
    chosen = [files[i] for i in sorted(rng.permutation(len(files))[: arguments.n])]
    _table(arguments.detector, chosen, arguments.random_orders)
    if arguments.random_weights:
        with tempfile.TemporaryDirectory() as scratch:
            _table(_same_shape(arguments.detector, Path(scratch)), chosen, arguments.random_orders)


def _same_shape(name: str, folder: Path) -> str:
    """Return an untrained checkpoint of the same architecture."""
    shape = find_checkpoint(name).architecture
    torch.manual_seed(0)
    config = ViTConfig(
        image_size=shape.image_px,
        patch_size=shape.patch_px,
        hidden_size=shape.width,
        num_hidden_layers=shape.depth,
        num_attention_heads=shape.heads,
        intermediate_size=shape.mlp_width,
        layer_norm_eps=shape.layer_norm_eps,
        num_labels=1,
    )
    ViTForImageClassification(config).save_pretrained(folder)
    (folder / "detector.toml").write_text('name = "random"\npositive = "fake"\n')
    return str(folder)


def _table(name: str, files: list[Path], n_random: int) -> None:
    found = find_checkpoint(name)
    detector = load_detector(name)
    network, profile = AttendingNetwork(found), chosen_profile(None, found)
    rng = np.random.default_rng(1)
    rows: dict[str, list[Curves]] = {"rollout": [], "gradient-weighted": [], "random": []}
    for file in files:
        pixels = preprocess(file.read_bytes(), profile)
        attended = network.attend(pixels)
        sign = 1.0 if attended.logit >= 0 else -1.0

        def score(batch: np.ndarray, sign: float = sign) -> np.ndarray:
            logits = np.concatenate([detector.forward(one[None])[0] for one in batch])
            return expit(sign * logits.astype(np.float64))

        maps = {
            "rollout": patch_map(rollout(attended.attention_lhtt)),
            "gradient-weighted": patch_map(
                gradient_weighted(
                    attended.attention_lhtt, np.float32(sign) * attended.gradient_lhtt
                )
            ),
        }
        for what, values in maps.items():
            rows[what].append(curves(pixels, values, score))
        shape = maps["rollout"].shape
        tries = [curves(pixels, rng.random(shape), score) for _ in range(n_random)]
        rows["random"].append(
            Curves(
                deletion=float(np.mean([one.deletion for one in tries])),
                insertion=float(np.mean([one.insertion for one in tries])),
            )
        )
    print(f"{found.detector_id}, {len(files)} pictures; 95 % bootstrap intervals")
    print(f"{'':20} deletion (less is better)       insertion (more is better)")
    for what, mine in rows.items():
        parts = []
        for measure in ("deletion", "insertion"):
            values = np.array([getattr(one, measure) for one in mine])
            base = np.array([getattr(one, measure) for one in rows["random"]])
            low, high = _interval(values - base)
            parts.append(f"{values.mean():.3f}, {low:+.3f} to {high:+.3f} of random")
        print(f"{what:20} {parts[0]}   {parts[1]}")


def _interval(differences: np.ndarray) -> tuple[float, float]:
    rng = np.random.default_rng(2)
    picks = rng.integers(0, len(differences), (2000, len(differences)))
    low, high = np.percentile(differences[picks].mean(axis=1), [2.5, 97.5])
    return float(low), float(high)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
