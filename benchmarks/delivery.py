"""How often an image and a form in which it is sent on get opposite decisions, and what stops it.

A pair is an image and one of twelve re-shippings; it flips if one of the two is flagged and the
other cleared. Each rule is applied to all forms alike, so that a re-shipped image is checked as if
it had been uploaded.
"""

from __future__ import annotations

import argparse
import io
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from assay.data.images.decode import PLAIN, decode_rgb
from assay.data.images.inspect_image import inspect_image
from assay.data.images.pixel_facts import detail_of
from assay.synth.laundering import Condition, conditions
from assay.tasks.decide.policy_file import load_policy
from assay.tasks.detector.detector import Detector
from assay.tasks.detector.inputs.preprocess import preprocess
from assay.tasks.detector.load import load_detector

RESHIPPINGS = conditions(
    (
        *("jpeg-90", "jpeg-70", "jpeg-50", "webp-80", "webp-50", "half", "double"),
        *("half-and-back", "crop-80", "screenshot", "thumbnails", "multi-hop"),
    )
)
# Twice-reduced forms beside those of `laundering.DELIVERIES`, to see what they would add.
_HALF, _J70, _W80, _THUMB = "half-jpeg-85", "jpeg-70", "webp-80", "thumbnail-640"
FORMS = (_J70, _W80, _HALF, _THUMB)
MIN_DETAIL = 0.38
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


@dataclass(frozen=True, slots=True)
class Form:
    """What the rules read of one form of an image.

    Attributes:
        logit: Its own logit.
        short_px: Its short edge.
        detail: Its detail.
        delivered: Logits of its deliveries by name; empty if it is not flagged.
    """

    logit: float
    short_px: int
    detail: float | None
    delivered: dict[str, float]


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule for a flag: the logit that each delivery must reach, and the least detail."""

    name: str
    least: dict[str, str]
    min_detail: float | None = MIN_DETAIL


RULES = (
    Rule("today", {}, None),
    Rule("detail only", {}),
    Rule("JPEG 70, WebP 80 at flag_at (chosen)", dict.fromkeys((_J70, _W80), "flag_at")),
    Rule("all four at flag_at", dict.fromkeys(FORMS, "flag_at")),
    Rule("all four at review_at", dict.fromkeys(FORMS, "review_at")),
    Rule(
        "two at flag_at, reduced ones at review_at",
        {_J70: "flag_at", _W80: "flag_at", _HALF: "review_at", _THUMB: "review_at"},
    ),
    Rule("four at flag_at, without detail", dict.fromkeys(FORMS, "flag_at"), None),
)


def delivered(name: str, rgb: Image.Image) -> bytes:
    """Return a delivery of an image as a file."""
    if name in (_J70, _W80):
        (condition,) = conditions((name,))
        return condition.apply(np.asarray(rgb))
    if name == _HALF:
        return _jpeg(_resized(rgb, 0.5), 85)
    first = _jpeg(_resized(rgb, min(1, 1080 / max(rgb.size))), 82)
    with Image.open(io.BytesIO(first)) as again:
        return _jpeg(_resized(again, min(1, 640 / max(again.size))), 75)


def _resized(image: Image.Image, factor: float) -> Image.Image:
    size = (max(round(image.width * factor), 8), max(round(image.height * factor), 8))
    return image if factor == 1 else image.resize(size, Image.Resampling.LANCZOS)


def _jpeg(image: Image.Image, quality: int) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality, subsampling=2)
    return out.getvalue()


def logit_of(detector: Detector, raw: bytes) -> float:
    """Return the logit of a file."""
    return float(detector.forward(preprocess(raw, detector.profile)[None])[0][0])


def form_of(detector: Detector, raw: bytes, flag_logit: float) -> Form:
    """Return what the rules read of a file."""
    rgb = decode_rgb(raw, PLAIN)
    logit = logit_of(detector, raw)
    names = FORMS if logit >= flag_logit else ()
    others = {name: logit_of(detector, delivered(name, rgb)) for name in names}
    return Form(logit, min(rgb.size), detail_of(rgb.convert("L")), others)


def decision(form: Form, rule: Rule, limits: dict[str, float], min_short_px: int) -> str:
    """Return the decision on a form under a rule."""
    is_enlarged = rule.min_detail and form.detail is not None and form.detail < rule.min_detail
    if form.short_px < min_short_px or is_enlarged:
        return "review"
    if form.logit >= limits["flag_at"]:
        held = all(form.delivered[name] >= limits[least] for name, least in rule.least.items())
        return "flag" if held else "review"
    return "review" if form.logit >= limits["review_at"] else "clear"


def main() -> None:
    """Print a line per rule: flips, images with any flip, review, passes per image; and CPU."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--n", type=int, default=273)
    parser.add_argument("--detector", default="mini")
    args = parser.parse_args()
    paths = sorted(p for p in args.images.rglob("*") if p.suffix.lower() in SUFFIXES)
    chosen = np.random.default_rng(18).permutation(len(paths))[: args.n]
    raws = [paths[number].read_bytes() for number in chosen]
    detector = load_detector(args.detector)
    policy = load_policy()
    band, _ = policy.band(detector.detector_id)
    limits = {
        name: float(np.log(prob / (1 - prob)))
        for name, prob in (("flag_at", band.flag_at), ("review_at", band.review_at))
    }
    forms: list[dict[str, Form]] = []
    for raw in raws:
        rgb = np.asarray(decode_rgb(raw, PLAIN))
        files = {"original": raw} | {each.name: each.apply(rgb) for each in RESHIPPINGS}
        forms.append(
            {name: form_of(detector, file, limits["flag_at"]) for name, file in files.items()}
        )
    print(f"{len(forms)} images, {len(RESHIPPINGS)} re-shippings, {detector.detector_id}")
    for rule in RULES:
        line(rule, forms, limits, policy.min_short_edge_px)
    cpu(detector, raws, [each["original"] for each in forms], limits["flag_at"])


def line(
    rule: Rule, forms: list[dict[str, Form]], limits: dict[str, float], min_short_px: int
) -> None:
    """Print the figures of a rule."""
    flips: Counter[str] = Counter()
    n_any = n_review = 0
    for each in forms:
        words = {name: decision(form, rule, limits, min_short_px) for name, form in each.items()}
        flips.update(
            name for name in words if {words["original"], words[name]} == {"flag", "clear"}
        )
        n_any += {"flag", "clear"} <= set(words.values())
        n_review += words["original"] == "review"
    n = len(forms)
    share = flips.total() / (n * len(RESHIPPINGS))
    print(
        f"{rule.name:45} flips {share:.2%} of pairs; {n_any / n:.1%} of images in any form;"
        f" review {n_review / n:.1%} of originals; {dict(flips)}"
    )


def cpu(detector: Detector, raws: list[bytes], originals: list[Form], flag_logit: float) -> None:
    """Print the CPU time of the chosen deliveries beside that of reading and scoring all images."""
    start_s = time.process_time()
    for raw in raws:
        inspect_image(raw)
        logit_of(detector, raw)
    base_s = time.process_time() - start_s
    start_s = time.process_time()
    chosen: tuple[Condition, ...] = conditions((_J70, _W80))
    n_passes = 0
    for raw, form in zip(raws, originals, strict=True):
        for condition in chosen:
            if form.logit < flag_logit:
                break
            rgb = np.asarray(decode_rgb(raw, PLAIN))
            n_passes += 1
            if logit_of(detector, condition.apply(rgb)) < flag_logit:
                break
    more_s = time.process_time() - start_s
    n_flagged = sum(form.logit >= flag_logit for form in originals)
    print(
        f"{n_flagged} of {len(raws)} above flag_at: {n_passes} passes,"
        f" {1 + more_s / base_s:.2f} times the CPU time of reading and scoring"
    )


if __name__ == "__main__":
    main()
