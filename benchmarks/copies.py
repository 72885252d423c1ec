"""The groups of copies of a lake: their cost, which re-shippings they hold, and what that changes.

A pair is an image and one of the re-shippings; it flips if one of the two is flagged and the other
cleared. With `together`, a copy in the group of its original gets the original's decision.
"""

from __future__ import annotations

import argparse
import itertools
import resource
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from assay.data.images.decode import PLAIN, decode_rgb
from assay.data.images.inspect_image import inspect_image
from assay.data.images.pixel_facts import measure_pixels
from assay.synth.laundering import conditions
from assay.tasks.copies.groups import MAX_PDQ_DISTANCE, _near, groups_of
from assay.tasks.copies.near_duplicates import MAX_DISTANCE
from assay.tasks.decide.policy_file import load_policy
from assay.tasks.detector.detector import Detector
from assay.tasks.detector.inputs.preprocess import preprocess
from assay.tasks.detector.load import load_detector
from assay.tasks.embeddings.neighbours import unit_rows

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
RESHIPPINGS = conditions(
    ("jpeg-50", "webp-50", "half", "half-and-back", "crop-80", "screenshot", "multi-hop")
)
# Shares of an edge that are cut off on each side.
CROPS = (0.01, 0.02)
COSINE = 0.95


@dataclass(frozen=True, slots=True)
class Form:
    """A form of an image: hashes, size, logit and embedding."""

    phash: int
    pdq: int
    n_pixels: int
    short_px: int
    logit: float
    vector: NDArray[np.float32]

    def distances(self, other: Form) -> tuple[int, int]:
        """Return the differing bits of the perceptual hash, and of PDQ."""
        return (self.phash ^ other.phash).bit_count(), (self.pdq ^ other.pdq).bit_count()

    def is_near(self, other: Form) -> bool:
        """Return whether both hashes are near."""
        phash, pdq = self.distances(other)
        return phash <= MAX_DISTANCE and pdq <= MAX_PDQ_DISTANCE


def images_of(n: int, rng: np.random.Generator) -> pl.DataFrame:
    """Return images of random hashes, a tenth of them copies with up to 4 bits exchanged."""
    hashes = rng.integers(0, 2**64, n, dtype=np.uint64)
    copies = n // 10
    source = hashes[copies : 2 * copies].copy()
    for bit in rng.integers(0, 64, (4, copies)):
        source ^= np.uint64(1) << bit.astype(np.uint64)
    hashes[:copies] = source
    # Copies have the PDQ of their source.
    pdqs = [rng.bytes(32).hex() for _ in range(n)]
    pdqs[:copies] = pdqs[copies : 2 * copies]
    ids = pl.Series(np.arange(n)).cast(pl.String).str.zfill(64)
    return pl.DataFrame(
        {
            "image_id": ids,
            "phash": [f"{value:016x}" for value in hashes.tolist()],
            "pdq": pl.Series(pdqs),
            "width_px": rng.integers(200, 4000, n),
            "height_px": rng.integers(200, 4000, n),
            "n_bytes": rng.integers(10_000, 5_000_000, n),
        }
    )


def form_of(detector: Detector, raw: bytes) -> Form:
    """Return what is compared of a file."""
    facts = inspect_image(raw)
    logits, vectors = detector.forward(preprocess(raw, detector.profile)[None])
    return Form(
        phash=int(facts.phash, 16),
        pdq=int(measure_pixels(raw).pdq, 16),
        n_pixels=facts.width_px * facts.height_px,
        short_px=min(facts.width_px, facts.height_px),
        logit=float(logits[0]),
        vector=unit_rows(np.asarray(vectors, np.float32))[0],
    )


def forms_of(rgb: Image.Image) -> dict[str, bytes]:
    """Return the re-shippings of an image as files."""
    out = {each.name: each.apply(np.asarray(rgb)) for each in RESHIPPINGS}
    (saved,) = conditions(("jpeg-90",))
    changed = {"brighter by 20 %": ImageEnhance.Brightness(rgb).enhance(1.2)}
    for share in CROPS:
        x, y = round(rgb.width * share), round(rgb.height * share)
        changed[f"cropped by {share:.0%}"] = rgb.crop((x, y, rgb.width - x, rgb.height - y))
    changed["a third"] = rgb.resize((max(rgb.width // 3, 8), max(rgb.height // 3, 8)))
    return out | {name: saved.apply(np.asarray(image)) for name, image in changed.items()}


def decision(form: Form) -> str:
    """Return the decision on a form under the packaged thresholds."""
    policy = load_policy()
    prob = 1 / (1 + np.exp(-form.logit))
    if form.short_px < policy.min_short_edge_px:
        return "review"
    is_clear = prob < policy.default.review_at
    return "flag" if prob >= policy.default.flag_at else "clear" if is_clear else "review"


def measure_images(folder: Path, n: int, name: str) -> None:
    """Print which re-shippings are in the group of their original, and how different images are."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    detector = load_detector(name)
    originals = [form_of(detector, path.read_bytes()) for path in paths]
    chosen = np.random.default_rng(18).permutation(len(paths))[:n]
    pairs: dict[str, list[tuple[Form, Form]]] = {}
    for number in chosen:
        rgb = decode_rgb(paths[number].read_bytes(), PLAIN)
        for form, raw in forms_of(rgb).items():
            pairs.setdefault(form, []).append((originals[number], form_of(detector, raw)))
    for form, both in pairs.items():
        line(form, both)
    reshipped = [pair for each in RESHIPPINGS for pair in pairs[each.name]]
    line("all re-shippings", reshipped)
    found = [
        (*a.distances(b), float(a.vector @ b.vector))
        for a, b in itertools.combinations(originals, 2)
    ]
    phash, pdq, cosine = np.array(found).T
    is_alike = cosine >= COSINE
    print(f"{len(found):,} pairs of different images: cosine >= {COSINE}: {is_alike.mean():.1%}")
    for limit in (6, 8, 10, 12):
        is_near = phash <= limit
        print(
            f"  within {limit} bits: {is_near.sum()}, PDQ {np.sort(pdq[is_near])[:3]};"
            f" with the cosine {(is_near & is_alike).sum()}"
        )
    n_near = (pdq <= MAX_PDQ_DISTANCE).sum()
    print(f"  within {MAX_PDQ_DISTANCE} bits of PDQ: {n_near}; least {pdq.min():.0f}")


def line(name: str, pairs: list[tuple[Form, Form]]) -> None:
    """Print the share in a group, and flips with and without groups."""
    is_near = np.array([a.is_near(b) for a, b in pairs])
    words = [(decision(a), decision(b)) for a, b in pairs]
    flips = np.array([set(pair) == {"flag", "clear"} for pair in words])
    other = np.array([a != b for a, b in words])
    led = is_near & np.array([a.n_pixels >= b.n_pixels for a, b in pairs])
    within_12 = np.mean([a.distances(b)[0] <= 12 for a, b in pairs])
    cosine = np.mean([float(a.vector @ b.vector) >= COSINE for a, b in pairs])
    print(
        f"{name:18} in a group {is_near.mean():6.1%}, within 12 bits {within_12:6.1%}, cosine >="
        f" {COSINE} {cosine:6.1%}; flips {flips.mean():5.1%}, together"
        f" {(flips & ~led).mean():5.1%}; other decision {other.mean():5.1%}, together"
        f" {(other & ~led).mean():5.1%}",
        flush=True,
    )


def main() -> None:
    """Print seconds of CPU and groups per size, or with `--images` which copies are found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--images", type=Path, help="folder of images; sizes are left out")
    parser.add_argument("--n", type=int, default=110, help="number of images that are re-shipped")
    parser.add_argument("--detector", default="mini")
    args = parser.parse_args()
    if args.images:
        measure_images(args.images, args.n, args.detector)
        return
    rng = np.random.default_rng(0)
    for n in args.sizes:
        images = images_of(n, rng)
        start_s = time.process_time()
        groups = groups_of(images)
        whole_s = time.process_time() - start_s
        numbers = np.sort(rng.integers(0, 2**64, n, dtype=np.uint64))
        start_s = time.process_time()
        _near(numbers, numbers[:10])
        few_s = time.process_time() - start_s
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
        print(
            f"{n:,} images: {groups['lead_id'].n_unique():,} groups in {whole_s:.1f} s,"
            f" those near to ten in {1000 * few_s:.0f} ms, peak {peak_mb:,.0f} MB"
        )


if __name__ == "__main__":
    main()
